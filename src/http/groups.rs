//! The admin API of ring groups: who waits, who answers, and signing agents in and out.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path};
use actors::group::{Group, GroupMsg, NotSigned};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

use super::{Refusal, Web};

/// How long a group may take to do what it is asked: a write to the disk.
const DO_WITHIN: Duration = Duration::from_secs(5);

type Answer = Result<Json<Value>, Refusal>;

/// All ring groups, in the order of the configuration.
pub async fn list(web: Data<Web>) -> Json<Value> {
    let all: Vec<_> = web.shared.groups.all().iter().map(|group| group.view(&web.shared)).collect();
    Json(json!({ "groups": all }))
}

/// One of them.
pub async fn one(web: Data<Web>, name: Path<String>) -> Answer {
    Ok(Json(json!(group(&web, &name)?.view(&web.shared))))
}

/// What is to be done in a ring group.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Order {
    /// An agent takes calls.
    SignIn {
        /// The user.
        agent: String,
    },
    /// It takes none.
    SignOut {
        /// The user.
        agent: String,
    },
}

/// Does it; the answer, once it is durable, is how the group is afterwards.
pub async fn order(web: Data<Web>, name: Path<String>, order: Json<Order>) -> Answer {
    let group = group(&web, &name)?;
    let (agent, on) = match order.into_inner() {
        Order::SignIn { agent } => (agent, true),
        Order::SignOut { agent } => (agent, false),
    };
    let again =
        |error: String| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error, "its actor is being rebuilt: ask again");
    let actor = group.actor().ok_or_else(|| again("the group has no actor at this moment".into()))?;
    let asked = actor.ask(|reply| GroupMsg::Sign(agent.as_str().into(), on, reply), DO_WITHIN).await;
    match asked.map_err(|error| again(error.to_string()))? {
        Ok(()) => Ok(Json(json!({ "group": group.view(&web.shared) }))),
        Err(why @ NotSigned::NoAgent(_)) => {
            Err(Refusal::new(StatusCode::NOT_FOUND, why.to_string(), "`strowger groups` lists the agents"))
        }
        Err(why @ NotSigned::Always) => {
            Err(Refusal::new(StatusCode::CONFLICT, why.to_string(), "set `sign_in = true` of the group"))
        }
        Err(why @ NotSigned::Store(_)) => {
            Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why.to_string(), "look at the disk, and ask again"))
        }
    }
}

fn group(web: &Web, name: &str) -> Result<Arc<Group>, Refusal> {
    let by_number = || web.shared.groups.all().into_iter().find(|group| group.plan().number == name);
    web.shared.groups.get(name).or_else(by_number).ok_or_else(|| {
        Refusal::new(StatusCode::NOT_FOUND, format!("there is no ring group {name}"), "`strowger groups` lists them")
    })
}
