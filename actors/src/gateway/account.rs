//! Who we are to a carrier.

use sip::auth::{Account as Credentials, Answerer};

use super::plan::Account;
use super::registration::PEER;
use crate::outside;

/// What answers its challenges.
pub fn answerer(account: &Account) -> Answerer {
    let credentials = Credentials {
        peer: PEER.to_owned(),
        realm: account.realm.clone(),
        username: account.username.clone(),
        secret: account.secret.clone(),
    };
    Answerer::new(credentials, &outside::random())
}
