//! Status codes and their default reason phrases (RFC 3261 section 21 and the IANA registry).

/// A status code, 100 to 699.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(u16);

impl Status {
    /// `None` when `code` is not in 100 ..= 699 (RFC 3261 section 25.1: three digits, first one 1 to 6).
    pub const fn new(code: u16) -> Option<Self> {
        if code >= 100 && code <= 699 { Some(Self(code)) } else { None }
    }

    /// The number.
    pub const fn code(self) -> u16 {
        self.0
    }

    /// 1xx.
    pub const fn is_provisional(self) -> bool {
        self.0 < 200
    }

    /// 2xx.
    pub const fn is_success(self) -> bool {
        self.0 >= 200 && self.0 < 300
    }

    /// 2xx to 6xx.
    pub const fn is_final(self) -> bool {
        self.0 >= 200
    }

    /// The default reason phrase; codes without a name of their own get that of x00 (183 for 1xx, section 8.1.3.2).
    pub const fn reason(self) -> &'static str {
        match self.0 {
            100 => "Trying",
            180 => "Ringing",
            181 => "Call Is Being Forwarded",
            182 => "Queued",
            183 => "Session Progress",
            199 => "Early Dialog Terminated",
            200 => "OK",
            202 => "Accepted",
            204 => "No Notification",
            300 => "Multiple Choices",
            301 => "Moved Permanently",
            302 => "Moved Temporarily",
            305 => "Use Proxy",
            380 => "Alternative Service",
            400 => "Bad Request",
            401 => "Unauthorized",
            402 => "Payment Required",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            406 => "Not Acceptable",
            407 => "Proxy Authentication Required",
            408 => "Request Timeout",
            410 => "Gone",
            412 => "Conditional Request Failed",
            413 => "Request Entity Too Large",
            414 => "Request-URI Too Long",
            415 => "Unsupported Media Type",
            416 => "Unsupported URI Scheme",
            420 => "Bad Extension",
            421 => "Extension Required",
            422 => "Session Interval Too Small",
            423 => "Interval Too Brief",
            430 => "Flow Failed",
            433 => "Anonymity Disallowed",
            439 => "First Hop Lacks Outbound Support",
            480 => "Temporarily Unavailable",
            481 => "Call/Transaction Does Not Exist",
            482 => "Loop Detected",
            483 => "Too Many Hops",
            484 => "Address Incomplete",
            485 => "Ambiguous",
            486 => "Busy Here",
            487 => "Request Terminated",
            488 => "Not Acceptable Here",
            469 => "Bad Info Package",
            489 => "Bad Event",
            491 => "Request Pending",
            493 => "Undecipherable",
            494 => "Security Agreement Required",
            500 => "Server Internal Error",
            501 => "Not Implemented",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            504 => "Server Time-out",
            505 => "Version Not Supported",
            513 => "Message Too Large",
            580 => "Precondition Failure",
            600 => "Busy Everywhere",
            603 => "Decline",
            604 => "Does Not Exist Anywhere",
            606 => "Not Acceptable",
            607 => "Unwanted",
            _ => match self.0 / 100 {
                1 => "Session Progress",
                2 => "OK",
                3 => "Multiple Choices",
                4 => "Bad Request",
                5 => "Server Internal Error",
                _ => "Busy Everywhere",
            },
        }
    }
}

impl From<Status> for rsip::StatusCode {
    fn from(status: Status) -> Self {
        Self::from(status.0)
    }
}

/// Named codes that the switch sends or looks for.
impl Status {
    /// RFC 3261 section 21.1.1
    pub const TRYING: Self = Self(100);
    /// RFC 3261 section 21.1.2
    pub const RINGING: Self = Self(180);
    /// RFC 3261 section 21.1.5
    pub const SESSION_PROGRESS: Self = Self(183);
    /// RFC 3261 section 21.2.1
    pub const OK: Self = Self(200);
    /// RFC 3428 section 7, RFC 3515
    pub const ACCEPTED: Self = Self(202);
    /// RFC 3261 section 21.4.1
    pub const BAD_REQUEST: Self = Self(400);
    /// RFC 3261 section 21.4.2
    pub const UNAUTHORIZED: Self = Self(401);
    /// RFC 3261 section 21.4.4
    pub const FORBIDDEN: Self = Self(403);
    /// RFC 3261 section 21.4.5
    pub const NOT_FOUND: Self = Self(404);
    /// RFC 3261 section 21.4.6
    pub const METHOD_NOT_ALLOWED: Self = Self(405);
    /// RFC 3261 section 21.4.8
    pub const PROXY_AUTHENTICATION_REQUIRED: Self = Self(407);
    /// RFC 3261 section 21.4.9
    pub const REQUEST_TIMEOUT: Self = Self(408);
    /// RFC 3261 section 21.4.13
    pub const UNSUPPORTED_MEDIA_TYPE: Self = Self(415);
    /// RFC 3261 section 21.4.14
    pub const UNSUPPORTED_URI_SCHEME: Self = Self(416);
    /// RFC 3261 section 21.4.15
    pub const BAD_EXTENSION: Self = Self(420);
    /// RFC 4028 section 6
    pub const SESSION_INTERVAL_TOO_SMALL: Self = Self(422);
    /// RFC 3261 section 21.4.17
    pub const INTERVAL_TOO_BRIEF: Self = Self(423);
    /// RFC 3261 section 21.4.18
    pub const TEMPORARILY_UNAVAILABLE: Self = Self(480);
    /// RFC 3261 section 21.4.19
    pub const CALL_DOES_NOT_EXIST: Self = Self(481);
    /// RFC 3261 section 21.4.20
    pub const LOOP_DETECTED: Self = Self(482);
    /// RFC 3261 section 21.4.21
    pub const TOO_MANY_HOPS: Self = Self(483);
    /// RFC 3261 section 21.4.24
    pub const BUSY_HERE: Self = Self(486);
    /// RFC 3261 section 21.4.25
    pub const REQUEST_TERMINATED: Self = Self(487);
    /// RFC 3261 section 21.4.26
    pub const NOT_ACCEPTABLE_HERE: Self = Self(488);
    /// RFC 6665 section 8.3.2
    pub const BAD_EVENT: Self = Self(489);
    /// 469 (RFC 6086 section 11.6)
    pub const BAD_INFO_PACKAGE: Self = Self(469);
    /// RFC 3261 section 21.4.27
    pub const REQUEST_PENDING: Self = Self(491);
    /// RFC 3261 section 21.5.1
    pub const SERVER_INTERNAL_ERROR: Self = Self(500);
    /// RFC 3261 section 21.5.2
    pub const NOT_IMPLEMENTED: Self = Self(501);
    /// RFC 3261 section 21.5.4
    pub const SERVICE_UNAVAILABLE: Self = Self(503);
    /// RFC 3261 section 21.5.6
    pub const VERSION_NOT_SUPPORTED: Self = Self(505);
    /// RFC 3261 section 21.5.7
    pub const MESSAGE_TOO_LARGE: Self = Self(513);
    /// RFC 3261 section 21.6.2
    pub const DECLINE: Self = Self(603);
}
