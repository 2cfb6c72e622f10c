//! Which extended reports a party wants to get (RFC 3611 section 5.1).

use super::attribute::Attribute;
use super::attribute::names::RTCP_XR;
use super::session::{Media, Session};

/// The blocks about sound that the writer of a description asks its peer for. It lists what it wants itself: what it gets
/// stands in the other description (RFC 3611 section 5.2, one-way parameters).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WantedReports {
    /// VoIP metrics.
    pub metrics: bool,
    /// Statistics summary: what was lost,
    pub loss: bool,
    /// what came twice,
    pub duplicates: bool,
    /// and the jitter.
    pub jitter: bool,
}

impl WantedReports {
    /// What the writer of `session` wants to be told about the stream of one of its sections: the section's own line, else the
    /// session's. Formats that are not known here are passed over.
    pub(super) fn of(session: &Session, media: &Media) -> WantedReports {
        let line = |attributes: &[Attribute]| attributes.iter().find(|line| line.is(RTCP_XR)).map(WantedReports::read);
        line(&media.attributes).or_else(|| line(&session.attributes)).unwrap_or_default()
    }

    fn read(line: &Attribute) -> WantedReports {
        let mut wanted = WantedReports::default();
        for format in line.text().unwrap_or_default().split_ascii_whitespace() {
            let (name, flags) = format.split_once('=').map_or((format, None), |(name, flags)| (name, Some(flags)));
            match name {
                "voip-metrics" => wanted.metrics = true,
                "stat-summary" => {
                    let has = |flag| flags.is_none_or(|flags| flags.split(',').any(|known| known == flag));
                    (wanted.loss, wanted.duplicates, wanted.jitter) = (has("loss"), has("dup"), has("jitt"));
                }
                _ => {}
            }
        }
        wanted
    }
}

/// What the switch wants to be told where it is the end point itself: the metrics, which it reads.
pub(super) fn wanted_of(offer: &Session, offered: &Media) -> Option<Attribute> {
    let asks = offered.attributes.iter().chain(&offer.attributes).any(|line| line.is(RTCP_XR));
    asks.then(|| Attribute::known(RTCP_XR, smol_str::SmolStr::new_static("voip-metrics")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(session: &str, section: &str) -> WantedReports {
        let text = format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n{session}m=audio 4000 RTP/AVP 0\r\n{section}"
        );
        let session = Session::parse(text.as_bytes()).unwrap();
        WantedReports::of(&session, &session.media[0])
    }

    #[test]
    fn the_section_says_what_is_wanted_else_the_session_and_what_is_unknown_is_passed_over() {
        let all = WantedReports { metrics: true, loss: true, duplicates: true, jitter: true };
        let metrics = WantedReports { metrics: true, ..WantedReports::default() };
        assert_eq!(wanted("", ""), WantedReports::default());
        assert_eq!(wanted("", "a=rtcp-xr:voip-metrics\r\n"), metrics);
        assert_eq!(wanted("a=rtcp-xr:pkt-loss-rle stat-summary voip-metrics\r\n", ""), all);
        assert_eq!(wanted("a=rtcp-xr:stat-summary voip-metrics\r\n", "a=rtcp-xr:voip-metrics\r\n"), metrics);
        assert_eq!(
            wanted("", "a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,jitt,TTL\r\n"),
            WantedReports { loss: true, jitter: true, ..WantedReports::default() }
        );
        // An empty line turns off what the session says (RFC 3611 section 5.1).
        assert_eq!(wanted("a=rtcp-xr:voip-metrics\r\n", "a=rtcp-xr:\r\n"), WantedReports::default());
        assert_eq!(wanted("a=rtcp-xr:voip-metrics\r\n", "a=rtcp-xr\r\n"), WantedReports::default());
    }
}
