//! The calls that most runs begin with.

use std::rc::Rc;
use std::time::Duration;

use actors::features::{FeatureBook, Features};
use tokio::time::sleep;

use super::phone::{Dialog, Phone};
use super::{World, both};

/// Where alice is.
pub const ALICE_AT: &str = "192.0.2.11:5060";
/// Where bob is.
pub const BOB_AT: &str = "192.0.2.12:5060";

/// Two phones that are registered.
pub async fn alice_and_bob(world: &World) -> (Phone, Phone) {
    let alice = Phone::at(&world.net, "alice", ALICE_AT);
    let bob = Phone::at(&world.net, "bob", BOB_AT);
    both(alice.register(), bob.register()).await;
    (alice, bob)
}

/// A standing call, answered after a second of ringing.
pub async fn talk(alice: &Phone, bob: &Phone) -> (Rc<Dialog>, Rc<Dialog>) {
    let answering = async {
        let invite = bob.incoming().await;
        bob.ring(&invite);
        sleep(Duration::from_secs(1)).await;
        bob.pick_up(&invite).expect("the caller waits")
    };
    let (from, at) = both(alice.call("1002"), answering).await;
    (from.expect("answered"), at)
}

/// Changes what a user has switched, and waits until it is kept.
pub async fn set(world: &World, user: &str, edit: impl FnOnce(&mut Features) + 'static) {
    let user = world.shared.directory().user(user).cloned().expect("a user");
    let (told, kept) = tokio::sync::oneshot::channel();
    let edit = move |features: &mut Features| {
        edit(features);
        Ok(())
    };
    FeatureBook::change(&world.shared, &user, edit, move |kept| drop(told.send(kept)));
    kept.await.expect("an answer").expect("allowed and kept");
}
