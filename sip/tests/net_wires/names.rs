use crate::support::*;
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record};
use sip::Protocol;
use sip::net::resolve::{ResolveError, literal};
use sip::value::Uri;
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::net::UdpSocket;
use tokio::task::spawn_local;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn zone() -> Vec<(&'static str, RData)> {
    let by_tcp =
        NAPTR::new(10, 1, Box::from(*b"s"), Box::from(*b"SIP+D2T"), Box::from(*b""), name("_sip._tcp.example.com."));
    let server = |priority, port, target| RData::SRV(SRV::new(priority, 1, port, name(target)));
    vec![
        ("example.com.", RData::NAPTR(by_tcp)),
        ("_sip._tcp.example.com.", server(2, 5070, "two.example.com.")),
        ("_sip._tcp.example.com.", server(1, 5060, "one.example.com.")),
        ("one.example.com.", RData::A(A([192, 0, 2, 1].into()))),
        ("two.example.com.", RData::A(A([192, 0, 2, 2].into()))),
    ]
}

/// A name server for the zone; counts the questions.
async fn serve(socket: UdpSocket, asked: Rc<Cell<usize>>) {
    let mut buffer = [0; 4_096];
    loop {
        let (len, from) = socket.recv_from(&mut buffer).await.unwrap();
        asked.set(asked.get() + 1);
        let request = Message::from_vec(&buffer[..len]).unwrap();
        let query = request.queries[0].clone();
        let mut response = Message::response(request.id, request.op_code);
        response.add_query(query.clone());
        for (owner, data) in zone() {
            if name(owner) == *query.name() && data.record_type() == query.query_type() {
                response.add_answer(Record::from_rdata(name(owner), 60, data));
            }
        }
        if query.name().to_ascii().contains("broken") {
            response.metadata.response_code = ResponseCode::ServFail;
        } else if response.answers.is_empty() {
            response.metadata.response_code = ResponseCode::NXDomain;
        }
        socket.send_to(&response.to_vec().unwrap(), from).await.unwrap();
    }
}

async fn resolving() -> (Side, Rc<Cell<usize>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut config = config(&[(Protocol::Udp, "127.0.0.1:0"), (Protocol::Tcp, "127.0.0.1:0")]);
    config.nameservers = vec![socket.local_addr().unwrap()];
    let asked = Rc::new(Cell::new(0));
    spawn_local(serve(socket, Rc::clone(&asked)));
    (Side::new(config), asked)
}

#[test]
fn a_name_is_found_through_naptr_srv_and_addresses_and_then_remembered() {
    run(async {
        let (side, asked) = resolving().await;
        let uri = Uri::parse(b"sip:bob@example.com").unwrap();
        let wanted: [SocketAddr; 2] = ["192.0.2.1:5060".parse().unwrap(), "192.0.2.2:5070".parse().unwrap()];
        let targets = side.net.resolve(&uri).await.unwrap();
        let found: Vec<_> = targets.iter().map(|t| t.address).collect();
        assert_eq!(found, wanted);
        assert!(targets.iter().all(|t| t.protocol == Protocol::Tcp));
        let questions = asked.get();
        assert_eq!(questions, 4);
        assert_eq!(side.net.resolve(&uri).await.unwrap(), targets);
        assert_eq!(asked.get(), questions);
    });
}

#[test]
fn a_name_that_does_not_exist_is_not_asked_for_again_at_once() {
    run(async {
        let (side, asked) = resolving().await;
        let uri = Uri::parse(b"sip:bob@nowhere.example.com").unwrap();
        let nothing = side.net.resolve(&uri).await;
        assert_eq!(nothing, Err(ResolveError::NotFound));
        let questions = asked.get();
        assert!(questions > 0);
        let nothing = side.net.resolve(&uri).await;
        assert_eq!(nothing, Err(ResolveError::NotFound));
        assert_eq!(asked.get(), questions);
    });
}

#[test]
fn a_server_that_fails_is_left_alone_for_a_while() {
    run(async {
        let (side, asked) = resolving().await;
        let uri = Uri::parse(b"sip:bob@broken.example.com:5060").unwrap();
        assert_eq!(side.net.resolve(&uri).await, Err(ResolveError::Dns));
        let questions = asked.get();
        assert_eq!(side.net.resolve(&uri).await, Err(ResolveError::Dns));
        assert_eq!(asked.get(), questions);
    });
}

#[test]
fn a_literal_address_is_answered_without_a_question() {
    run(async {
        let (side, asked) = resolving().await;
        let uri = Uri::parse(b"sip:bob@[2001:db8::1]:5070;transport=tcp").unwrap();
        let target = literal(&uri).unwrap().unwrap();
        assert_eq!(target.protocol, Protocol::Tcp);
        assert_eq!(target.address.to_string(), "[2001:db8::1]:5070");
        assert_eq!(side.net.resolve(&uri).await, Ok(vec![target]));
        let name = Uri::parse(b"sip:bob@example.com").unwrap();
        assert_eq!(literal(&name), Ok(None));
        assert_eq!(asked.get(), 0);
    });
}
