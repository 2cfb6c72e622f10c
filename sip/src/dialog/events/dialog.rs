//! Package `dialog` (RFC 4235): the calls of a user, as a busy lamp shows them.

use super::{attribute, element};

/// Media type of the body (section 3.5).
pub const DIALOG_INFO: &str = "application/dialog-info+xml";

/// Where a dialog is (section 3.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// INVITE sent or received.
    Trying,
    /// A provisional response without tag.
    Proceeding,
    /// A provisional response with tag.
    Early,
    /// 2xx.
    Confirmed,
    /// Over.
    Terminated,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Trying => "trying",
            Self::Proceeding => "proceeding",
            Self::Early => "early",
            Self::Confirmed => "confirmed",
            Self::Terminated => "terminated",
        }
    }
}

/// One dialog of the watched user.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Name that stays with the dialog.
    pub id: &'a str,
    /// Where it is.
    pub state: State,
    /// Whether the watched user began it.
    pub initiator: bool,
    /// Call-ID and tags as the watched user's agent sees them; a watcher needs them to pick up with Replaces.
    pub replaces: Option<Ids<'a>>,
    /// URI of the watched user.
    pub local: &'a str,
    /// URI of the other side.
    pub remote: &'a str,
    /// Name of the other side, may be empty.
    pub remote_display: &'a str,
}

/// What names a dialog.
#[derive(Clone, Copy, Debug)]
pub struct Ids<'a> {
    /// Call-ID.
    pub call_id: &'a str,
    /// The watched user's tag.
    pub local_tag: &'a str,
    /// The other side's tag.
    pub remote_tag: &'a str,
}

/// The whole state of `entity` (section 4.1). `version` counts up by one each NOTIFY of a subscription.
pub fn body(entity: &str, version: u32, calls: &[Call<'_>]) -> String {
    let mut out = String::with_capacity(512);
    out.push_str("<?xml version=\"1.0\"?>\r\n<dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\"");
    attribute(&mut out, "version", &version.to_string());
    out.push_str(" state=\"full\"");
    attribute(&mut out, "entity", entity);
    out.push_str(">\r\n");
    for call in calls {
        out.push_str("<dialog");
        attribute(&mut out, "id", call.id);
        if let Some(ids) = call.replaces {
            attribute(&mut out, "call-id", ids.call_id);
            attribute(&mut out, "local-tag", ids.local_tag);
            attribute(&mut out, "remote-tag", ids.remote_tag);
        }
        let direction = if call.initiator { "initiator" } else { "recipient" };
        attribute(&mut out, "direction", direction);
        out.push('>');
        element(&mut out, "state", call.state.as_str());
        party(&mut out, "local", call.local, "");
        party(&mut out, "remote", call.remote, call.remote_display);
        out.push_str("</dialog>\r\n");
    }
    out.push_str("</dialog-info>\r\n");
    out
}

fn party(out: &mut String, role: &str, uri: &str, display: &str) {
    out.push('<');
    out.push_str(role);
    out.push_str("><identity");
    if !display.is_empty() {
        attribute(out, "display", display);
    }
    out.push('>');
    super::escape(out, uri);
    out.push_str("</identity><target");
    attribute(out, "uri", uri);
    out.push_str("/></");
    out.push_str(role);
    out.push('>');
}
