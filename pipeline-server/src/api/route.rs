//! What is known of a path before anything is done with it.

/// A path of the interface, with its variable parts left open. There are few of them whatever clients send, so they can
/// stand in logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    /// As in the OpenAPI document; `other` for a path that does not exist.
    pub(crate) template: &'static str,
    /// The methods it has.
    pub(crate) allowed: &'static str,
    /// Whether it can be used without a key: it tells nothing that is not the same for everybody.
    pub(crate) is_open: bool,
    /// Whether it is left out of the rate limit, for whatever watches over the server.
    pub(crate) is_free: bool,
}

const READ: &str = "GET, HEAD";

impl Route {
    pub(crate) fn of(path: &str) -> Self {
        let path = path.trim_matches('/');
        let segments: Vec<&str> = path.splitn(6, '/').collect();
        let (template, allowed) = match segments[..] {
            [""] => ("/", READ),
            ["livez"] => ("/livez", READ),
            ["readyz"] => ("/readyz", READ),
            ["metrics"] => ("/metrics", READ),
            ["docs"] => ("/docs", READ),
            ["web", _] => ("/web/{file}", READ),
            ["openapi.json"] => ("/openapi.json", READ),
            ["api", "events"] => ("/api/events", READ),
            ["api", "stats"] => ("/api/stats", READ),
            ["api", "images"] => ("/api/images", "GET, HEAD, POST"),
            ["api", "images", "reprocess"] => ("/api/images/reprocess", "POST"),
            ["api", "images", _] => ("/api/images/{image_id}", "DELETE, GET, HEAD, PATCH"),
            ["api", "images", _, "captions"] => ("/api/images/{image_id}/captions", READ),
            ["api", "images", _, "similar"] => ("/api/images/{image_id}/similar", READ),
            ["api", "images", _, "reprocess"] => ("/api/images/{image_id}/reprocess", "POST"),
            ["api", "images", _, "events"] => ("/api/images/{image_id}/events", READ),
            ["api", "images", _, "thumbnails", _] => {
                ("/api/images/{image_id}/thumbnails/{size}", READ)
            }
            _ => ("other", READ),
        };
        let is_free = matches!(template, "/" | "/livez" | "/readyz");
        Self {
            template,
            allowed,
            is_open: is_free || matches!(template, "/docs" | "/openapi.json" | "/web/{file}"),
            is_free,
        }
    }
}
