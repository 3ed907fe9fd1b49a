//! Lines of any input, each on its own: one that is too long or not UTF-8 is refused and the next is read.
//!
//! Invariants: no more than the limit is kept of any line, however long it goes on; a byte-order mark before the first
//! line is no part of it. Absent: what a line says.

use std::io::{BufRead, Read};

use weituo_events::Refusal;

/// Longest line, in bytes, where nothing else is asked for: an entry has at most 65,535, and JSON escapes can make a
/// command longer.
pub(super) const MAX_LINE_BYTES: u64 = 1 << 20;

/// Lines of an input.
pub(super) struct Lines<'a> {
    input: &'a mut dyn BufRead,
    max_bytes: u64,
    begun: bool,
}

impl<'a> Lines<'a> {
    /// Returns the lines of an input, of which no line may have more than `max_bytes`, its end not counted.
    pub(super) fn new(input: &'a mut dyn BufRead, max_bytes: u64) -> Self {
        Self { input, max_bytes, begun: false }
    }

    /// Returns the next line without its end, or why it is refused; `None` after the last.
    ///
    /// # Errors
    /// When the input cannot be read.
    pub(super) fn next_line(&mut self) -> std::io::Result<Option<Result<String, Refusal>>> {
        let mut bytes = Vec::new();
        let room = self.max_bytes.saturating_add(1);
        if Read::take(&mut *self.input, room).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        } else if bytes.len() as u64 > self.max_bytes {
            self.skip_line()?;
            self.begun = true;
            return Ok(Some(Err(too_long(self.max_bytes))));
        }
        if !std::mem::replace(&mut self.begun, true) && bytes.starts_with("\u{feff}".as_bytes()) {
            bytes.drain(..'\u{feff}'.len_utf8());
        }
        Ok(Some(String::from_utf8(bytes).map_err(|error| not_utf8(error.utf8_error().valid_up_to()))))
    }

    /// Passes over the rest of a line.
    fn skip_line(&mut self) -> std::io::Result<()> {
        loop {
            let buffered = self.input.fill_buf()?;
            let end = buffered.iter().position(|&byte| byte == b'\n');
            let used = end.map_or(buffered.len(), |at| at + 1);
            let finished = end.is_some() || buffered.is_empty();
            self.input.consume(used);
            if finished {
                return Ok(());
            }
        }
    }
}

fn too_long(max_bytes: u64) -> Refusal {
    Refusal::invalid(
        "line-too-long",
        format!("该行超过 {max_bytes} 字节;一条记录最多 65,535 字节(上限可用 --max-line 设定)"),
        format!("the line has more than {max_bytes} bytes (set by --max-line); an entry has at most 65,535"),
    )
}

fn not_utf8(at: usize) -> Refusal {
    Refusal::invalid(
        "line-not-utf8",
        format!("该行第 {at} 字节起不是 UTF-8;请存为 UTF-8 再记录"),
        format!("the line is not UTF-8 from byte {at} on; save it as UTF-8"),
    )
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, repeat};

    use super::*;

    fn all(input: impl Read, max_bytes: u64) -> Vec<Result<String, String>> {
        let mut input = BufReader::new(input);
        let mut lines = Lines::new(&mut input, max_bytes);
        std::iter::from_fn(|| lines.next_line().unwrap())
            .map(|line| line.map_err(|refusal| refusal.code.into_owned()))
            .collect()
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_read_and_one_byte_more_is_refused() {
        for end in ["\n", ""] {
            assert_eq!(all(format!("12345678{end}").as_bytes(), 8), [Ok("12345678".to_owned())]);
            assert_eq!(all(format!("123456789{end}").as_bytes(), 8), [Err("line-too-long".to_owned())]);
        }
    }

    #[test]
    fn what_follows_a_line_that_goes_on_and_on_is_read() {
        let long = repeat(b'x').take(64 << 20).chain(&b"\nnext\n\xff\nlast"[..]);
        let refused = |code: &str| Err(code.to_owned());
        let read = |text: &str| Ok(text.to_owned());
        assert_eq!(
            all(long, 64),
            [refused("line-too-long"), read("next"), refused("line-not-utf8"), read("last")]
        );
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_before_the_first_line_only() {
        assert_eq!(
            all("\u{feff}a\n\u{feff}b".as_bytes(), 64),
            [Ok("a".to_owned()), Ok("\u{feff}b".to_owned())]
        );
    }
}
