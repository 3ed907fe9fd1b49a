//! Addresses of services that are asked over HTTP.

/// Whether a text is one: `http://HOST[:PORT][/PATH]` or `https://…`.
pub(crate) fn is_web_address(text: &str) -> bool {
    // A scheme is the same in capitals (RFC 3986 section 3.1).
    let scheme = text.split_inclusive("://").next().unwrap_or_default();
    let is_http = ["http://", "https://"].iter().any(|known| known.eq_ignore_ascii_case(scheme));
    let host = is_http.then(|| &text[scheme.len()..]);
    text.is_ascii()
        && !text.contains('#')
        && host.is_some_and(|host| !host.is_empty() && !host.starts_with('/'))
}
