//! What the configuration promises.

mod mutations;
mod pages;
mod plan;

use std::path::Path;

use super::error::Place;
use super::*;

/// The least configuration that is right; the cases below break it.
const RIGHT: &str = "\
[node]
domains = [\"example.com\"]
[sip]
udp = [\"127.0.0.1:5060\"]
[[user]]
name = \"alice\"
password = \"alice-secret\"
extension = \"1001\"
";

fn read_text(text: &str) -> Result<Config, Vec<ConfigError>> {
    parse("t.toml", Path::new(""), text, Origin::Lab)
}

/// Each mistake of `text` as the line that a terminal shows.
fn mistakes(text: &str) -> Vec<String> {
    read_text(text).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

/// Checks that `RIGHT` with `added` below has exactly the `wanted` mistakes.
#[track_caller]
fn adding_gives(added: &str, wanted: &[&str]) {
    assert_eq!(mistakes(&format!("{RIGHT}{added}")), wanted, "adding:\n{added}");
}

/// Checks that `RIGHT` with `from` replaced has exactly the `wanted` mistakes.
#[track_caller]
fn replacing_gives(from: &str, to: &str, wanted: &[&str]) {
    assert!(RIGHT.contains(from), "nothing to replace: {from}");
    assert_eq!(mistakes(&RIGHT.replace(from, to)), wanted, "{from} became {to}");
}

#[test]
fn the_lab_is_valid() {
    let lab = lab().unwrap();
    let users: Vec<_> = lab.users.iter().map(|user| (user.name.as_str(), user.extension.as_deref().unwrap())).collect();
    assert_eq!(users, [("alice", "1001"), ("bob", "1002"), ("carol", "1003"), ("dave", "1004")]);
    for user in &lab.users {
        assert_eq!(user.password.as_ref().unwrap().expose(), format!("{}-secret", user.name));
    }
    let services: Vec<_> = lab.services.iter().map(|service| (service.number.as_str(), service.kind)).collect();
    let wanted = [
        ("5500", ServiceKind::Echo),
        ("5501", ServiceKind::Tone),
        ("5502", ServiceKind::Announcement),
        ("5503", ServiceKind::Music),
        ("5000", ServiceKind::Voicemail),
    ];
    assert_eq!(services, wanted);
    assert_eq!(lab.realm(), "example.com");
    assert_eq!(lab.node.data, Path::new("./data"));
    assert_eq!(lab.sip.udp, ["127.0.0.1:5060".parse().unwrap()]);
    assert_eq!(lab.sip.tcp, ["127.0.0.1:5060".parse().unwrap()]);
    assert_eq!(lab.sip.tls, ["127.0.0.1:5061".parse().unwrap()]);
    assert_eq!(lab.http.listen.to_string(), "127.0.0.1:8080");
}

#[test]
fn port_0_is_allowed_everywhere_and_more_than_once() {
    let text = "\
[node]
domains = [\"example.com\"]
[sip]
udp = [\"127.0.0.1:0\", \"127.0.0.1:0\"]
tcp = [\"127.0.0.1:0\"]
tls = [\"[::1]:0\"]
[media]
ports = \"0\"
[http]
listen = \"127.0.0.1:0\"
tls_listen = \"127.0.0.1:0\"
";
    assert_eq!(mistakes(text), Vec::<String>::new());
}

#[test]
fn every_mistake_is_told_at_once_in_the_order_of_lines() {
    let text = "\
[node]
domains = [\"example.com\", \"example.com\"]
shrads = 3
[sip]
udp = [\"127.0.0.1:5060\", \"localhost:5060\"]
t1 = 500
[medja]
[[user]]
name = \"alice\"
password = \"short\"
extension = \"1001\"
[[user]]
name = \"bob\"
extension = \"1001\"
";
    let wanted = [
        "t.toml:2:27: `example.com` is already a domain: node.domains[0]; name each domain once",
        "t.toml:3:1: unknown key `shrads` in `[node]`; did you mean `shards`?",
        "t.toml:5:26: `localhost:5060` is no IP address and port; write it as \"127.0.0.1:5060\" or \"[::1]:5060\"",
        "t.toml:6:6: `t1` is an integer; write a duration from \"10ms\" to \"5s\"",
        "t.toml:7:2: unknown section `medja`; did you mean `[media]`?",
        "t.toml:10:12: this secret has 5 characters; write 8 to 128 characters",
        "t.toml:12:1: this user has no credentials; add `password = …` or `ha1 = { … }`",
        "t.toml:14:13: `1001` is already a name or number: user[0].extension; give each user and service its own",
    ];
    assert_eq!(mistakes(text), wanted);
}

#[test]
fn keys_and_sections_that_do_not_exist_are_told_with_the_nearest_one() {
    adding_gives(
        "colour = 1\n",
        &[
            "t.toml:9:1: unknown key `colour` in `[[user]]`; its keys are name, password, ha1, extension, display, tel, max_calls, contacts_max, srtp, dtmf, mailbox, pin, email, site, dial_plan, voice_policy, pickup_group",
        ],
    );
    adding_gives("[registar]\n", &["t.toml:9:2: unknown section `registar`; did you mean `[registrar]`?"]);
    replacing_gives(
        "[node]\n",
        "t1 = \"1s\"\n[node]\n",
        &["t.toml:1:1: unknown section `t1`; `t1` belongs below `[sip]`"],
    );
    adding_gives("[[users]]\n", &["t.toml:9:3: unknown section `users`; did you mean `[[user]]`?"]);
}

#[test]
fn sections_and_lists_of_sections_are_not_mistaken_for_each_other() {
    adding_gives(
        "[gateway]\nname = \"x\"\n",
        &["t.toml:9:1: `gateway` is one table, not a list of sections; write `[[gateway]]` before each entry"],
    );
    adding_gives("[[media]]\n", &["t.toml:9:1: [media] is an array, not a section; write `[media]` once"]);
}

#[test]
fn what_is_required_is_asked_for() {
    replacing_gives(
        "domains = [\"example.com\"]\n",
        "",
        &[
            "t.toml:1:1: `[node]` without `domains`; add `domains = [\"example.com\"]`: a list of 1 to 64: a host name or an IP address such as \"sip.example.com\" or \"192.0.2.10\"",
        ],
    );
    adding_gives(
        "[[service]]\nkind = \"echo\"\n",
        &[
            "t.toml:9:1: `[[service]]` without `number`; add `number = \"5500\"`: a number of 1 to 20 digits, `*` and `#`, in quotation marks",
        ],
    );
    let empty = mistakes("");
    assert_eq!(empty.len(), 2, "{empty:?}");
    assert!(empty.iter().any(|mistake| mistake.contains("`[node]` without `domains`")), "{empty:?}");
    assert!(empty.iter().any(|mistake| mistake.contains("SIP listens nowhere")), "{empty:?}");
}

#[test]
fn values_out_of_their_range_are_told_with_the_range() {
    adding_gives("max_calls = 0\n", &["t.toml:9:13: `0` is out of range; write a whole number from 1 to 10000"]);
    adding_gives("max_calls = -1\n", &["t.toml:9:13: `-1` is out of range; write a whole number from 1 to 10000"]);
    adding_gives(
        "max_calls = 99999999999999999999\n",
        &["t.toml:9:13: `99999999999999999999` is out of range; write a whole number from 1 to 10000"],
    );
    adding_gives(
        "[media]\ntimeout = \"0s\"\n",
        &["t.toml:10:11: `0s` is out of range; write a duration from \"1s\" to \"1d\""],
    );
    adding_gives(
        "[media]\ntimeout = \"60\"\n",
        &["t.toml:10:11: `60` is no duration; write a duration from \"1s\" to \"1d\", a whole number with its unit"],
    );
    adding_gives(
        "[store]\ncache = \"1TB\"\n",
        &["t.toml:10:9: `1TB` is no size; write a size from \"1MiB\" to \"64GiB\", a whole number with its unit"],
    );
    for ports in ["1023-2000", "30000-20000", "20001-20002", "20000", "a-b", "20000-99999"] {
        let found = mistakes(&format!("{RIGHT}[media]\nports = \"{ports}\"\n"));
        assert!(matches!(found.as_slice(), [one] if one.starts_with("t.toml:10:9: ")), "{ports}: {found:?}");
    }
}

#[test]
fn a_range_of_media_ports_has_room_for_what_its_mode_wants() {
    let single = |ports: &str, workers: usize| {
        let media = format!("[media]\nports = \"{ports}\"\nport_mode = \"single\"\nworkers = {workers}\n");
        mistakes(&format!("{RIGHT}{media}"))
    };
    for (ports, workers) in [("20000-20000", 1), ("20001-20002", 1), ("20000-20002", 2), ("20000-20003", 2), ("0", 9)] {
        assert_eq!(single(ports, workers), [] as [String; 0], "{ports}");
    }
    let wanted = "t.toml:10:9: the range holds 2 even ports, and each of 3 workers takes one; name more ports, or fewer \
                  `workers` in [media]";
    assert_eq!(single("20000-20003", 3), [wanted]);
    let wanted = "t.toml:10:9: the range holds no even port with its odd one, which a party takes; name two ports at least, \
                  or add `port_mode = \"single\"`";
    adding_gives("[media]\nports = \"20001-20002\"\n", &[wanted]);
}

#[test]
fn a_misspelt_log_level_does_not_open_the_log() {
    let remedy = "write a level (error, warn, info, debug, trace, off) or levels by target, such as \"info,sip=debug\"";
    let wanted = format!("t.toml:2:7: `inof` is no log filter; {remedy}");
    replacing_gives("domains", "log = \"inof\"\ndomains", &[&wanted]);
    replacing_gives("domains", "log = \"info,sip=debug\"\ndomains", &[]);
}

#[test]
fn numbers_that_two_have_are_told_with_both_places() {
    let text = format!("{RIGHT}tel = [\"+390612345678\"]\n[[service]]\nnumber = \"1001\"\nkind = \"echo\"\n");
    let errors = read_text(&text).unwrap_err();
    let [error] = errors.as_slice() else { panic!("{errors:?}") };
    assert_eq!((error.line, error.column), (11, 10));
    assert_eq!(error.also, [Place { line: 8, column: 13, what: "`1001` is first here".to_owned() }]);
    adding_gives(
        "[[user]]\nname = \"1001\"\npassword = \"12345678\"\n",
        &["t.toml:10:8: `1001` is already a name or number: user[0].extension; give each user and service its own"],
    );
    let gateway = "[[gateway]]\nname = \"g\"\naddress = \"192.0.2.1\"\n";
    adding_gives(
        &gateway.repeat(2),
        &[
            "t.toml:13:8: `g` is already a gateway: gateway[0].name; give each gateway its own name",
            "t.toml:14:11: `192.0.2.1 over Udp` is already a gateway's address: gateway[0].address; its requests could not be told apart: keep one",
        ],
    );
}

#[test]
fn gateways_that_cannot_work_are_told() {
    let gateway = |more: &str| format!("[[gateway]]\nname = \"g\"\naddress = \"carrier.example:5070\"\n{more}");
    adding_gives(
        &gateway("certificate = \"carrier.example\"\ntransport = \"udp\"\n"),
        &[
            "t.toml:13:13: a certificate is asked for, and shown over TLS alone; write `transport = \"tls\"`, or take `certificate` out",
        ],
    );
    adding_gives(
        &gateway("transport = \"tls\"\n"),
        &[
            "t.toml:12:13: its certificate would be verified against nothing, so no call would leave by it; add `server_ca = …` to [tls]",
        ],
    );
    adding_gives(
        &gateway("register = true\n"),
        &["t.toml:12:12: nothing to register with; add `username = …` and `password = …`, or take `register` out"],
    );
    adding_gives(
        &gateway("username = \"us\"\n"),
        &["t.toml:12:12: a user name without a password; add `password = …`"],
    );
}

#[test]
fn listeners_that_collide_are_told() {
    replacing_gives(
        "udp = [\"127.0.0.1:5060\"]\n",
        "udp = [\"127.0.0.1:5060\"]\ntcp = [\"127.0.0.1:8080\"]\n[http]\nlisten = \"127.0.0.1:8080\"\n",
        &["t.toml:7:10: `127.0.0.1:8080` is already a TCP listener: sip.tcp[0]; give each listener its own TCP port"],
    );
    replacing_gives(
        "\"127.0.0.1:5060\"",
        "\"0.0.0.0:5060\"",
        &[
            "t.toml:4:7: SIP listens on all addresses and has none to tell its peers; add `advertised = \"sip.example.com\"` to [sip], or listen on one address",
        ],
    );
    adding_gives(
        "[media]\nip = \"::\"\n",
        &[
            "t.toml:10:6: media is on all addresses and has none to tell its peers; add `advertised = \"192.0.2.10\"` to [media], or name one address",
        ],
    );
}

#[test]
fn floors_above_their_ceilings_are_told() {
    adding_gives(
        "[registrar]\nexpires_min = \"2h\"\n",
        &[
            "t.toml:10:15: `expires_min` is 2h, above `expires_default`, which is 1h; make `expires_default` at least `expires_min`",
        ],
    );
    adding_gives(
        "[auth]\ndelay_max = \"1ms\"\n",
        &[
            "t.toml:10:13: `delay_first` is 500ms, above `delay_max`, which is 1ms; make `delay_max` at least `delay_first`",
        ],
    );
}

#[test]
fn references_into_nothing_are_told() {
    adding_gives(
        "[tls]\ncertificate = \"/nowhere/c.pem\"\nverify_client = \"required\"\n",
        &[
            "t.toml:10:15: `certificate` without `key`; add `key = …` to [tls], or leave out both",
            "t.toml:10:15: `/nowhere/c.pem` cannot be read; name a PEM file that this program may read",
            "t.toml:11:17: client certificates are verified against nothing; add `client_ca = …` to [tls], or write \"off\"",
        ],
    );
}

#[test]
fn hashed_credentials_must_serve_every_algorithm_that_is_offered() {
    let with_ha1 = |ha1: &str| mistakes(&RIGHT.replace("password = \"alice-secret\"", ha1));
    let md5 = "d41d8cd98f00b204e9800998ecf8427e";
    assert_eq!(
        with_ha1(&format!("ha1 = {{ MD5 = \"{md5}\" }}")),
        [
            "t.toml:7:7: `ha1` lacks SHA-512-256, SHA-256, which [auth] algorithms offers; add SHA-512-256, SHA-256, or take it out of [auth] algorithms",
        ]
    );
    assert_eq!(
        with_ha1(&format!("ha1 = {{ MD5 = \"{md5}x\" }}")),
        ["t.toml:7:15: this is no MD5 HA1; write 32 hexadecimal digits: MD5(user:realm:password)",]
    );
    assert_eq!(
        with_ha1(&format!("password = \"alice-secret\"\nha1 = {{ MD5 = \"{md5}\" }}")),
        ["t.toml:8:7: this user has a password and hashed credentials; keep `password` or `ha1`",]
    );
    let all = format!("{RIGHT}[auth]\nalgorithms = [\"MD5\"]\n")
        .replace("password = \"alice-secret\"", &format!("ha1 = {{ MD5 = \"{md5}\" }}"));
    assert_eq!(mistakes(&all), Vec::<String>::new());
}

#[test]
fn mistakes_of_toml_itself_are_told_once_each() {
    assert_eq!(
        mistakes("[node]\ndomains = [\"a.example\"\nshards = 300\n[sip]\nudp = 1\n"),
        ["t.toml:2:22: a list or table that is open here is not closed; add `]` or `}` after this",]
    );
    replacing_gives(
        "[sip]\n",
        "shards = 1\nshards = 2\n[sip]\nt1 = 5\n",
        &[
            "t.toml:4:1: duplicate key; keep one of the two",
            "t.toml:6:6: `t1` is an integer; write a duration from \"10ms\" to \"5s\"",
        ],
    );
}

#[test]
fn columns_count_characters_and_the_caret_stands_below_the_mistake() {
    let text = format!("{RIGHT}display = \"Ælfgifu\"\n[[service]]\nnumber = \"é\"\nkind = 'x'\n");
    let shown = render_text(&read_text(&text).unwrap_err());
    let wanted = "\
t.toml:11:10: `é` is no number to dial; write 1 to 20 digits, `*` and `#`, such as \"1001\"
   11 | number = \"é\"
      |          ^^^
t.toml:12:8: `x` is none of the choices; write \"echo\" or \"tone\" or \"announcement\" or \"music\" or \"voicemail\"
   12 | kind = 'x'
      |        ^^^
2 errors
";
    assert_eq!(shown, wanted);
}

#[test]
fn no_secret_appears_in_a_mistake_or_in_the_effective_configuration() {
    let secret = "hunter2-hunter2";
    let broken = [
        format!("password = \"{secret}\\u0001\""),
        format!("password = [\"{secret}\"]"),
        format!("password = {secret}"),
        format!("password = \"{secret}"),
        format!("pasword = \"{secret}\""),
        format!("ha1 = {{ MD5 = \"{secret}\" }}"),
        format!("ha1 = \"{secret}\""),
    ];
    for line in broken {
        let errors = read_text(&RIGHT.replace("password = \"alice-secret\"", &line)).unwrap_err();
        let told = format!("{} {} {errors:?}", render_text(&errors), render_json(&errors));
        assert!(!told.contains("hunter2"), "{line} is told as {told}");
    }
    let config = read_text(&RIGHT.replace("alice-secret", secret)).unwrap();
    let told = format!("{} {config:?}", config.effective());
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn relative_paths_count_from_the_folder_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.toml");
    std::fs::write(&file, RIGHT).unwrap();
    let config = load(&file).unwrap();
    assert_eq!(config.node.data, folder.path().join("./data"));
    assert_eq!(config.origin, Origin::File(file));
}

#[test]
fn a_file_that_is_absent_or_not_utf_8_is_a_mistake_with_a_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.toml");
    let absent = load(&file).unwrap_err();
    assert!(absent[0].what.starts_with("this file cannot be read"), "{absent:?}");
    std::fs::write(&file, b"[node]\nname = \"\xff\"\n").unwrap();
    let binary = load(&file).unwrap_err();
    assert_eq!((binary[0].line, binary[0].column, binary[0].what.as_str()), (2, 9, "this byte is not UTF-8"));
}
