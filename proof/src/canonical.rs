//! The canonical subset of JSON that entries are written in: a one-pass check and the writers.
//!
//! Invariants: `check` accepts a text exactly when it is what RFC 8785 serialises its value to and the value keeps
//! to the subset (keys, integers, depth). So two readers of accepted bytes see one value.
//! Absent: canonicalising foreign JSON (bytes are refused, never mended); Unicode normalisation.
//! Source: RFC 8785 sections 3.2.2 and 3.2.3; format.md "Entry", canonical subset.

use serde_json::Value;

/// Largest magnitude of an integer: 2^53 - 1.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Largest number of objects and arrays that may be open at once, the outermost included.
pub const MAX_DEPTH: usize = 16;

/// Why bytes are not canonical.
#[derive(Debug, Copy, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// The text ends inside a value.
    #[error("the text ends inside a value")]
    UnexpectedEnd,
    /// A byte that no canonical text has here: white space, a misplaced mark, a misspelt literal.
    #[error("a byte that canonical JSON does not have here")]
    UnexpectedByte,
    /// Bytes after the value.
    #[error("bytes follow the value")]
    TrailingBytes,
    /// A key that is neither `[a-z][a-z0-9_]*` nor `_sd`.
    #[error("a key must be [a-z][a-z0-9_]* or _sd")]
    Key,
    /// A key not greater than the one before it: unsorted or duplicate.
    #[error("keys must be strictly ascending")]
    KeyOrder,
    /// A fraction, an exponent, `-0` or a leading zero.
    #[error("a number must be a plain integer")]
    NotInteger,
    /// An integer beyond ±(2^53 - 1).
    #[error("an integer must lie within ±(2^53 - 1)")]
    IntegerRange,
    /// A control character written raw.
    #[error("a control character must be escaped")]
    RawControl,
    /// An escape that is not the shortest, or of a character that needs none.
    #[error("an escape must be the shortest and needed")]
    Escape,
    /// U+0000 in a string.
    #[error("U+0000 is not allowed")]
    Null,
    /// More than 16 objects and arrays open at once.
    #[error("nested deeper than 16")]
    Depth,
}

/// Refusal of bytes that are not canonical.
#[derive(Debug, Copy, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not canonical JSON at byte {offset}: {reason}")]
pub struct NotCanonical {
    /// Offset of the first offending byte, 0-based.
    pub offset: usize,
    /// What is wrong there.
    pub reason: Reason,
}

/// Returns `bytes` as text when they are one canonical JSON value and nothing else.
///
/// # Errors
///
/// `NotCanonical` with the offset of the first offending byte and the reason.
pub fn check(bytes: &[u8]) -> Result<&str, NotCanonical> {
    let mut reader = Reader::of(bytes, 0)?;
    reader.whole()?;
    Ok(reader.text)
}

/// Returns the members of one canonical object in their order, each with the text of its value; none of another value.
///
/// # Errors
///
/// Those of [`check`].
pub(crate) fn members(bytes: &[u8]) -> Result<Vec<(&str, &str)>, NotCanonical> {
    let mut reader = Reader::of(bytes, 1)?;
    // An entry has at most sixteen.
    reader.noted.reserve(16);
    reader.whole()?;
    Ok(reader.noted)
}

/// A cursor over UTF-8 bytes. Recursion is bounded by `MAX_DEPTH`.
struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    /// The depth whose members are noted.
    noting: usize,
    noted: Vec<(&'a str, &'a str)>,
}

impl<'a> Reader<'a> {
    fn of(bytes: &'a [u8], noting: usize) -> Result<Self, NotCanonical> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| NotCanonical { offset: error.valid_up_to(), reason: Reason::NotUtf8 })?;
        Ok(Self { text, bytes, at: 0, depth: 0, noting, noted: Vec::new() })
    }

    fn whole(&mut self) -> Result<(), NotCanonical> {
        self.value()?;
        if self.at == self.bytes.len() { Ok(()) } else { self.refuse(Reason::TrailingBytes) }
    }

    fn refuse<T>(&self, reason: Reason) -> Result<T, NotCanonical> {
        Err(NotCanonical { offset: self.at, reason })
    }

    fn refuse_at<T>(offset: usize, reason: Reason) -> Result<T, NotCanonical> {
        Err(NotCanonical { offset, reason })
    }

    fn peek(&self) -> Result<u8, NotCanonical> {
        match self.bytes.get(self.at) {
            Some(byte) => Ok(*byte),
            None => self.refuse(Reason::UnexpectedEnd),
        }
    }

    fn expect(&mut self, wanted: u8) -> Result<(), NotCanonical> {
        if self.peek()? != wanted {
            return self.refuse(Reason::UnexpectedByte);
        }
        self.at += 1;
        Ok(())
    }

    /// Steps over `wanted` if it is next, and says whether it was.
    fn eat(&mut self, wanted: u8) -> Result<bool, NotCanonical> {
        let found = self.peek()? == wanted;
        self.at += usize::from(found);
        Ok(found)
    }

    fn value(&mut self) -> Result<(), NotCanonical> {
        match self.peek()? {
            b'{' => self.nested(Self::members),
            b'[' => self.nested(Self::elements),
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.integer(),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => self.refuse(Reason::UnexpectedByte),
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), NotCanonical> {
        word.iter().try_for_each(|byte| self.expect(*byte))
    }

    fn nested(&mut self, inside: fn(&mut Self) -> Result<(), NotCanonical>) -> Result<(), NotCanonical> {
        if self.depth == MAX_DEPTH {
            return self.refuse(Reason::Depth);
        }
        self.depth += 1;
        self.at += 1;
        inside(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn members(&mut self) -> Result<(), NotCanonical> {
        if self.eat(b'}')? {
            return Ok(());
        }
        let mut previous: &[u8] = b"";
        loop {
            let start = self.at;
            let key = self.key()?;
            // RFC 8785 sorts by UTF-16 code units; for ASCII keys that is byte order. Most differ in their first bytes, so
            // this is faster than comparing slices.
            if key.iter().le(previous) {
                return Self::refuse_at(start, Reason::KeyOrder);
            }
            previous = key;
            self.expect(b':')?;
            let value = self.at;
            self.value()?;
            if self.depth == self.noting {
                // A key is its opening quote, its name, its closing quote.
                self.noted.push((&self.text[start + 1..value - 2], &self.text[value..self.at]));
            }
            if self.eat(b'}')? {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn key(&mut self) -> Result<&'a [u8], NotCanonical> {
        self.expect(b'"')?;
        let start = self.at;
        let rest = &self.bytes[start..];
        let in_key = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        let length = rest.iter().position(|byte| !in_key(byte)).unwrap_or(rest.len());
        let key = &rest[..length];
        self.at += length;
        if self.peek()? != b'"' || !(key.first().is_some_and(u8::is_ascii_lowercase) || key == b"_sd") {
            return Self::refuse_at(start, Reason::Key);
        }
        self.at += 1;
        Ok(key)
    }

    fn elements(&mut self) -> Result<(), NotCanonical> {
        if self.eat(b']')? {
            return Ok(());
        }
        loop {
            self.value()?;
            if self.eat(b']')? {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn integer(&mut self) -> Result<(), NotCanonical> {
        let start = self.at;
        let negative = self.eat(b'-')?;
        let digits = self.at;
        let mut magnitude = 0_u64;
        while let Some(digit @ b'0'..=b'9') = self.bytes.get(self.at) {
            magnitude = magnitude.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        let length = self.at - digits;
        if length == 0 {
            self.peek()?;
            return self.refuse(Reason::UnexpectedByte);
        }
        let leading_zero = self.bytes[digits] == b'0' && (length > 1 || negative);
        if leading_zero || matches!(self.bytes.get(self.at), Some(b'.' | b'e' | b'E')) {
            return Self::refuse_at(start, Reason::NotInteger);
        }
        if magnitude > MAX_INTEGER {
            return Self::refuse_at(start, Reason::IntegerRange);
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), NotCanonical> {
        self.expect(b'"')?;
        loop {
            self.at += plain(&self.bytes[self.at..]);
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => self.escape()?,
                _ => return self.refuse(Reason::RawControl),
            }
        }
    }

    /// Reads `\b \t \n \f \r \" \\` or `\u00xx` of another control character (RFC 8785 section 3.2.2.2).
    fn escape(&mut self) -> Result<(), NotCanonical> {
        let start = self.at;
        self.at += 1;
        let mark = self.peek()?;
        self.at += 1;
        match mark {
            b'b' | b't' | b'n' | b'f' | b'r' | b'"' | b'\\' => return Ok(()),
            b'u' => {}
            _ => return Self::refuse_at(start, Reason::Escape),
        }
        let Some(digits) = self.bytes.get(self.at..self.at + 4) else {
            self.at = self.bytes.len();
            return self.refuse(Reason::UnexpectedEnd);
        };
        self.at += 4;
        match digits {
            b"0000" => Self::refuse_at(start, Reason::Null),
            [b'0', b'0', b'0', b'1'..=b'7' | b'b' | b'e' | b'f']
            | [b'0', b'0', b'1', b'0'..=b'9' | b'a'..=b'f'] => Ok(()),
            _ => Self::refuse_at(start, Reason::Escape),
        }
    }
}

/// Returns how many bytes stand before the first quote, backslash or control character.
fn plain(bytes: &[u8]) -> usize {
    let (eights, rest) = bytes.as_chunks();
    for (number, eight) in eights.iter().enumerate() {
        if let Some(at) = first_mark(*eight) {
            return 8 * number + at;
        }
    }
    let start = 8 * eights.len();
    start + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len())
}

/// Returns where the first quote, backslash or control character stands in eight bytes, by arithmetic on all at once: a byte
/// below 0x80 whose highest bit is set then had to borrow, so it was smaller; a borrow only disturbs the bytes behind it.
fn first_mark(bytes: [u8; 8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let bytes = u64::from_le_bytes(bytes);
    let below = |bytes: u64, limit: u8| bytes.wrapping_sub(ONES * u64::from(limit)) & !bytes;
    let equal = |byte: u8| below(bytes ^ (ONES * u64::from(byte)), 1);
    let marks = (below(bytes, 0x20) | equal(b'"') | equal(b'\\')) & (ONES << 7);
    (marks != 0).then(|| marks.trailing_zeros() as usize / 8)
}

/// Appends `s` to `out` as a JSON string with the shortest escapes (RFC 8785 section 3.2.2.2).
///
/// U+0000 is written as `\u0000`, which `check` refuses: whoever commits bytes checks them.
pub fn write_string(out: &mut String, s: &str) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in s.bytes().enumerate() {
        let control;
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            0x08 => "\\b",
            b'\t' => "\\t",
            b'\n' => "\\n",
            0x0c => "\\f",
            b'\r' => "\\r",
            0x00..0x20 => {
                control = format!("\\u{byte:04x}");
                &control
            }
            _ => continue,
        };
        out.push_str(&s[plain..at]);
        out.push_str(escape);
        plain = at + 1;
    }
    out.push_str(&s[plain..]);
    out.push('"');
}

/// Appends `value` to `out` in canonical form: sorted keys, no white space.
///
/// Map order of the `Value` does not matter (`preserve_order` of `serde_json` may be on in another crate's build).
///
/// # Errors
///
/// `NotCanonical` when the value lies outside the subset (a float, another key form, too deep, U+0000); its offset
/// counts from where this value begins in `out`, and `out` is left as it was.
pub fn write_value(out: &mut String, value: &Value) -> Result<(), NotCanonical> {
    let start = out.len();
    push_value(out, value);
    match check(&out.as_bytes()[start..]) {
        Ok(_) => Ok(()),
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

fn push_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => write_string(out, text),
        Value::Array(elements) => {
            out.push('[');
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                push_value(out, element);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(key, _)| key.as_bytes());
            out.push('{');
            for (at, (key, member)) in members.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_string(out, key);
                out.push(':');
                push_value(out, member);
            }
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests;
