//! The client against a canned switch: one thread, one connection, one answer.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

use super::*;

/// Answers one request with `status` and `body`; gives back the request's first line, its Authorization and its body.
fn switch_that_answers(status: &'static str, body: &'static str) -> (String, JoinHandle<[String; 3]>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let served = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream);
        let (mut first, mut authorization, mut length) = (String::new(), String::new(), 0);
        reader.read_line(&mut first).unwrap();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let line = line.trim().to_owned();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap();
            match name.to_ascii_lowercase().as_str() {
                "authorization" => value.trim().clone_into(&mut authorization),
                "content-length" => length = value.trim().parse().unwrap(),
                _ => {}
            }
        }
        let mut sent = vec![0; length];
        reader.read_exact(&mut sent).unwrap();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        reader.get_mut().write_all(answer.as_bytes()).unwrap();
        [first.trim().to_owned(), authorization, String::from_utf8(sent).unwrap()]
    });
    (at, served)
}

fn data_folder(http: &str) -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    let file = serde_json::json!({ "pid": 7, "http": http, "token_file": "admin.token", "sip": {} });
    std::fs::write(data.path().join(SWITCH_FILE), file.to_string()).unwrap();
    std::fs::write(data.path().join(TOKEN_FILE), "the-token\n").unwrap();
    data
}

#[test]
fn the_switch_is_found_by_its_data_folder_and_asked_with_its_token() {
    let (at, served) = switch_that_answers("200 OK", r#"{"nodes":[]}"#);
    let data = data_folder(&at);
    let answer = AdminClient::find(data.path()).unwrap().tree().unwrap();
    assert_eq!(answer, serde_json::json!({ "nodes": [] }));
    assert_eq!(served.join().unwrap(), ["GET /api/tree HTTP/1.1", "Bearer the-token", ""]);
}

#[test]
fn a_kill_says_which_and_how() {
    let (at, served) = switch_that_answers("200 OK", r#"{"killed":"a/b"}"#);
    let data = data_folder(&at);
    AdminClient::find(data.path()).unwrap().kill("a/b", ActorFault::Panic).unwrap();
    let [first, _, body] = served.join().unwrap();
    assert_eq!(first, "POST /api/kill HTTP/1.1");
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap(),
        serde_json::json!({ "path": "a/b", "how": "panic", "stall_ms": 0 })
    );
}

#[test]
fn a_call_id_stays_one_path_segment() {
    assert_eq!(path_segment("a/b?c@ä"), "a%2Fb%3Fc%40%C3%A4");
}

#[test]
fn without_a_switch_the_error_says_how_to_start_or_find_one() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().display();
    let error = AdminClient::find(data.path()).err().unwrap().to_string();
    let wanted =
        format!("no switch is running on {folder}: start one with `strowger run`, or name its data folder with --data");
    assert_eq!(error, wanted);
}

#[test]
fn a_switch_that_was_killed_is_named_with_its_process() {
    // A port that was just given back has no listener.
    let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let data = data_folder(&at);
    let error = AdminClient::find(data.path()).unwrap().calls().err().unwrap().to_string();
    assert!(error.starts_with(&format!("no switch answers at http://{at}")), "{error}");
    assert!(error.contains("process 7"), "{error}");
}

#[test]
fn a_refused_token_and_an_error_are_told_apart() {
    let (at, served) = switch_that_answers("401 Unauthorized", "");
    let error = AdminClient::find(data_folder(&at).path()).unwrap().tree().err().unwrap().to_string();
    assert!(error.contains("refuses the admin token"), "{error}");
    served.join().unwrap();

    let (at, served) = switch_that_answers("404 Not Found", r#"{"error":"no actor a/b"}"#);
    let error =
        AdminClient::find(data_folder(&at).path()).unwrap().kill("a/b", ActorFault::Kill).err().unwrap().to_string();
    assert_eq!(error, "no actor a/b");
    served.join().unwrap();
}

#[test]
fn the_end_of_a_draining_switch_is_no_error() {
    let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let data = data_folder(&at);
    assert_eq!(AdminClient::find(data.path()).unwrap().drained().unwrap(), None);
}
