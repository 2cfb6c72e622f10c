//! Gateways: neighbours that calls come from and leave by.
//!
//! | file | what happens there |
//! | --- | --- |
//! | `plan` | what the configuration says of one |

mod plan;

pub use plan::{Exit, Gateway, Host};
