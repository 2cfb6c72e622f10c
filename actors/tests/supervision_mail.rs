//! Mail that outlives the actor (`Live::KEEPS_MAIL`): what waited behind a fault is for the successor, in order.

mod supervision_common;

use actors::supervision::{AskError, Cx, Live, Ref, Refused, Reply, Restart, Strategy, child};
use supervision_common::{DEADLINE, House, root, soon};

/// Adds up what it is told, as long as it lives.
#[derive(Default)]
struct Keeper {
    heard: Vec<u32>,
}

enum Letter {
    Number(u32),
    Heard(Reply<Vec<u32>>),
    Boom,
    Stop,
}

impl Live for Keeper {
    type Msg = Letter;
    const KIND: &'static str = "keeper";
    const MAILBOX: usize = 4;
    const KEEPS_MAIL: bool = true;

    fn handle(&mut self, letter: Letter, cx: &mut Cx<'_, Self>) {
        match letter {
            Letter::Number(number) => self.heard.push(number),
            Letter::Heard(reply) => reply.send(self.heard.clone()),
            Letter::Boom => panic!("boom"),
            Letter::Stop => cx.stop(),
        }
    }
}

async fn house(restart: Restart) -> (House, Ref<Keeper>) {
    let seat = Ref::vacant();
    let keeper = child("keeper", restart, Keeper::default).seat(&seat);
    let house = House::build(|_| root(Strategy::OneForOne).with(keeper));
    let up = async {
        while !seat.is_alive() {
            tokio::task::yield_now().await;
        }
    };
    soon(up).await;
    (house, seat)
}

async fn heard(of: &Ref<Keeper>) -> Vec<u32> {
    soon(of.ask(Letter::Heard, DEADLINE)).await.expect("the keeper answers")
}

#[actix::test]
async fn what_waits_behind_a_fault_is_taken_by_the_successor_in_order_and_the_fault_is_not_repeated() {
    let (house, keeper) = house(Restart::Permanent).await;

    // All queued before the keeper runs again.
    for letter in [Letter::Boom, Letter::Number(1), Letter::Number(2)] {
        keeper.try_send(letter).expect("there is room");
    }
    assert_eq!(heard(&keeper).await, [1, 2]);
    let node = house.node("/switch/keeper");
    assert_eq!((node.restarts, node.mailbox_depth), (1, 0));
}

#[actix::test]
async fn a_killed_keeper_leaves_its_mail_to_the_successor() {
    let (house, keeper) = house(Restart::Permanent).await;

    house.tree.kill("/switch/keeper").expect("it is there");
    keeper.try_send(Letter::Number(7)).expect("there is room");
    assert_eq!(heard(&keeper).await, [7]);
    assert_eq!(house.node("/switch/keeper").restarts, 1);
}

#[actix::test]
async fn mail_is_bounded_while_nobody_reads_it() {
    let (_house, keeper) = house(Restart::Permanent).await;

    keeper.try_send(Letter::Boom).expect("there is room");
    for number in 1..4 {
        keeper.try_send(Letter::Number(number)).expect("there is room");
    }
    assert!(matches!(keeper.try_send(Letter::Number(4)), Err(Refused::Full(Letter::Number(4)))));
    // The question comes when there is room again.
    let answer = loop {
        match soon(keeper.ask(Letter::Heard, DEADLINE)).await {
            Ok(answer) => break answer,
            Err(AskError::Full) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(answer, [1, 2, 3]);
}

#[actix::test]
async fn after_an_end_in_order_nobody_is_waited_for() {
    let (_house, keeper) = house(Restart::Transient).await;

    keeper.try_send(Letter::Stop).expect("there is room");
    let unread = keeper.ask(Letter::Heard, DEADLINE);
    assert_eq!(soon(unread).await, Err(AskError::Dead));
    assert!(matches!(keeper.try_send(Letter::Number(1)), Err(Refused::Dead(Letter::Number(1)))));
}
