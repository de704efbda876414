//! What is counted and measured.

use pipeline_core::CaptionStage;
use pipeline_core::testing::FixedCaptioner;

use crate::support::{CAPTION, Gate, PHOTO, Server, until};

fn metrics(server: &Server) -> String {
    let reply = server.get("/metrics");
    assert_eq!(reply.status, 200);
    let expected = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(reply.header("content-type"), Some(expected));
    reply.text().to_owned()
}

#[track_caller]
fn assert_line(text: &str, line: &str) {
    assert!(
        text.lines().any(|known| known == line),
        "no `{line}` in {text}"
    );
}

#[test]
fn every_stage_and_every_outcome_is_counted() {
    let server = Server::start();
    server.process(PHOTO);
    assert_eq!(
        server.upload("x.jpg", "image/jpeg", b"no picture").status,
        200
    );
    server.wait_idle();
    assert_eq!(server.upload("x.gif", "image/gif", PHOTO).status, 400);
    let text = metrics(&server);
    for stage in ["metadata", "decode", "thumbnail", "caption"] {
        let times = if stage == "metadata" { 2 } else { 1 };
        assert_line(
            &text,
            &format!("pipeline_stage_duration_seconds_count{{stage=\"{stage}\"}} {times}"),
        );
    }
    for line in [
        "pipeline_stage_duration_seconds_count{stage=\"whole\"} 2",
        "pipeline_pictures_total{outcome=\"success\"} 1",
        "pipeline_pictures_total{outcome=\"unknown-format\"} 1",
        "pipeline_uploads_total{outcome=\"accepted\"} 2",
        "pipeline_uploads_total{outcome=\"wrong-type\"} 1",
        "pipeline_queue_length 0",
        "pipeline_queue_oldest_age_seconds 0",
        "pipeline_receiving_uploads 0",
        "pipeline_receiving_bytes 0",
        "pipeline_http_request_duration_seconds_count{method=\"POST\",route=\"/api/images\",status=\"400\"} 1",
        "pipeline_model_info{model=\"fixed\"} 1",
        "# TYPE pipeline_stage_duration_seconds histogram",
    ] {
        assert_line(&text, line);
    }
    assert!(text.contains("pipeline_build_info{version="));
    // Its own; the server may hear later than we do that the one before has ended.
    let alone = "pipeline_http_connections 1";
    until(|| metrics(&server).lines().any(|line| line == alone));
}

#[test]
fn what_waits_and_what_comes_in_is_told() {
    let gate = Gate::default();
    let server = Server::with(|_| {}, Some(gate.captions()));
    server.accept(PHOTO);
    server.accept(PHOTO);
    gate.wait_for(1);
    let text = metrics(&server);
    assert_line(&text, "pipeline_queue_length 2");
    let age = text
        .lines()
        .find_map(|line| line.strip_prefix("pipeline_queue_oldest_age_seconds "));
    assert!(age.unwrap().parse::<f64>().unwrap() > 0.0, "{age:?}");
    gate.open();
    server.wait_idle();
    assert_line(&metrics(&server), "pipeline_queue_oldest_age_seconds 0");
}

#[test]
fn clients_make_up_no_labels() {
    let server = Server::with(
        |_| {},
        Some(CaptionStage::new(FixedCaptioner::new(CAPTION))),
    );
    for name in ["a", "b", "c"] {
        server.get(&format!("/{name}"));
        server.get(&format!("/api/images/{name}"));
        server.request(&format!("BREW{name}"), "/").send();
    }
    let text = metrics(&server);
    for (labels, count) in [
        ("method=\"GET\",route=\"other\",status=\"404\"", 3),
        (
            "method=\"GET\",route=\"/api/images/{image_id}\",status=\"404\"",
            3,
        ),
        ("method=\"other\",route=\"/\",status=\"405\"", 3),
    ] {
        assert_line(
            &text,
            &format!("pipeline_http_request_duration_seconds_count{{{labels}}} {count}"),
        );
    }
    assert!(!text.contains("BREW"));
}
