//! A parsed message back to bytes: long names, unfolded values, the body as it came.

use super::{Message, Name, Start};

impl Message {
    /// Serialises the parsed form; parsing the result gives the same message.
    pub fn print(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.raw.len() + 64);
        match &self.lexed.start {
            Start::Request { method, uri } => {
                out.extend_from_slice(method.as_str().as_bytes());
                out.push(b' ');
                out.extend_from_slice(uri.of(&self.raw));
                out.extend_from_slice(b" SIP/2.0\r\n");
            }
            Start::Response { status, reason } => {
                out.extend_from_slice(format!("SIP/2.0 {} ", status.code()).as_bytes());
                out.extend_from_slice(reason.of(&self.raw));
                out.extend_from_slice(b"\r\n");
            }
        }
        for header in self.headers().filter(|h| h.name != Name::ContentLength) {
            let name = match header.name {
                Name::Other => header.name_bytes,
                known => known.as_str().as_bytes(),
            };
            out.extend_from_slice(name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(&header.unfolded());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", self.body().len()).as_bytes());
        out.extend_from_slice(self.body());
        out
    }
}
