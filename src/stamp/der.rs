//! As much DER as time-stamps need: single-byte tags, definite lengths.
//!
//! Invariants: reading never panics and never goes beyond its input, whatever the bytes; only the one spelling of a length
//! is read.
//! Absent: BER, tags above 30, what elements mean (`message`).
//! Source: ITU-T X.690 section 10.

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const NULL: u8 = 0x05;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// `[0]`, constructed.
pub(super) const CONTEXT_0: u8 = 0xa0;

/// Returns an element.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    let length = content.len().to_be_bytes();
    let digits = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    match digits {
        [] => bytes.push(0),
        [short] if *short < 0x80 => bytes.push(*short),
        long => {
            bytes.push(0x80 | u8::try_from(long.len()).unwrap_or(0));
            bytes.extend_from_slice(long);
        }
    }
    bytes.extend_from_slice(content);
    bytes
}

/// One element as read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// With tag and length.
    pub(super) whole: &'a [u8],
}

/// What is left to read of a sequence of elements.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// Returns the next element; `None` at the end, or where there is none that can be read.
    pub(super) fn any(&mut self) -> Option<Element<'a>> {
        let (&[tag, first], rest) = self.0.split_first_chunk::<2>()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            if digits.len() > 4 || digits.first().is_none_or(|digit| *digit == 0) {
                return None;
            }
            let length = digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit));
            if length < 0x80 {
                return None;
            }
            (length, rest)
        };
        let (content, after) = rest.split_at_checked(length)?;
        let whole = &self.0[..self.0.len() - after.len()];
        self.0 = after;
        (tag & 0x1f != 0x1f).then_some(Element { tag, content, whole })
    }

    /// Returns the next element where it has this tag; else nothing, and it is still the next.
    pub(super) fn take(&mut self, tag: u8) -> Option<Element<'a>> {
        let mut ahead = *self;
        let element = ahead.any().filter(|element| element.tag == tag)?;
        *self = ahead;
        Some(element)
    }

    /// Returns a reader of the content of the next element, which has this tag.
    pub(super) fn within(&mut self, tag: u8) -> Option<Self> {
        self.take(tag).map(|element| Self(element.content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let content = vec![7; length];
            let bytes = element(OCTET_STRING, &content);
            let mut reader = Reader(&bytes);
            let read = reader.take(OCTET_STRING).unwrap();
            assert!(read.content == content && read.whole == bytes && reader.0.is_empty(), "{length}");
        }
    }

    #[test]
    fn a_length_has_one_spelling_and_stays_within_the_bytes() {
        for bytes in
            [&[4][..], &[4, 2, 0], &[4, 0x80], &[4, 0x81, 1, 0], &[4, 0x82, 0, 200], &[4, 0x88, 1, 1]]
        {
            assert!(Reader(bytes).any().is_none(), "{bytes:?}");
        }
        assert!(Reader(&[0x1f, 0]).any().is_none());
    }
}
