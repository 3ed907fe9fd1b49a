//! Addresses of services that are asked over HTTP.

/// Whether a text is one: `http://HOST[:PORT][/PATH]` or `https://…`.
pub(crate) fn is_web_address(text: &str) -> bool {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    text.is_ascii()
        && !text.contains('#')
        && host.is_some_and(|host| !host.is_empty() && !host.starts_with('/'))
}
