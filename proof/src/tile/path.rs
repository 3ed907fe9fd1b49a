//! Paths of tiles and entry bundles.
//!
//! Invariants: a path has one spelling; the width is 1 to 256, written only when it is not 256.
//! Source: C2SP tlog-tiles, "Merkle Tree" (`<L>`, `<N>`) and "Partial Tiles" (`<W>`).

use std::fmt;
use std::str::FromStr;

use super::TILE_WIDTH;
use crate::checkpoint::decimal;

/// What a tile holds.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TileKind {
    /// Hashes of complete subtrees of 256^level leaves.
    Hashes {
        /// 0 to 63; a tree of fewer than 2^64 leaves uses 0 to 7.
        level: u8,
    },
    /// Entries.
    Entries,
}

/// The path of a hash tile or an entry bundle, such as `tile/1/x001/x234/067.p/17` or `tile/entries/000`.
#[derive(Copy, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TilePath {
    kind: TileKind,
    index: u64,
    width: u16,
}

/// Refusal of a tile path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not tile/<level>/<index>[.p/<width>] or tile/entries/<index>[.p/<width>]")]
pub struct TilePathError {
    /// The text refused, at most 80 characters.
    pub text: String,
}

impl TilePath {
    /// Returns the path of tile number `index` (0-based), `width` hashes or entries wide.
    ///
    /// Returns `None` unless width is 1 to 256, a level at most 63, and the first hash's number fits 64 bits.
    pub fn new(kind: TileKind, index: u64, width: u16) -> Option<Self> {
        let level_fits = !matches!(kind, TileKind::Hashes { level: 64.. });
        let fits = level_fits && (1..=TILE_WIDTH).contains(&width) && index < 1 << 56;
        fits.then_some(Self { kind, index, width })
    }

    /// Returns what the tile holds.
    pub fn kind(&self) -> TileKind {
        self.kind
    }

    /// Returns the level of a hash tile, `None` for an entry bundle.
    pub fn level(&self) -> Option<u8> {
        match self.kind {
            TileKind::Hashes { level } => Some(level),
            TileKind::Entries => None,
        }
    }

    /// Returns the 0-based number of the tile in its row.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Returns the number of hashes or entries, 1 to 256.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Returns whether the tile is partial: fewer than 256 wide.
    pub fn is_partial(&self) -> bool {
        self.width < TILE_WIDTH
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.strip_prefix("tile/")?.split_once('/')?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes { level: u8::try_from(decimal(level)?).ok()? },
        };
        let (index, width) = match rest.split_once(".p/") {
            None => (rest, TILE_WIDTH),
            Some((index, width)) => {
                let width = u16::try_from(decimal(width)?).ok()?;
                (index, (width < TILE_WIDTH).then_some(width)?)
            }
        };
        Self::new(kind, parse_index(index)?, width)
    }
}

/// Reads `x001/x234/067` as 1,234,067.
fn parse_index(text: &str) -> Option<u64> {
    let (leading, last) = match text.rsplit_once('/') {
        Some((leading, last)) => (leading.split('/').collect(), last),
        None => (Vec::new(), text),
    };
    let mut index = 0_u64;
    for (at, group) in leading.iter().enumerate() {
        let value = three_digits(group.strip_prefix('x')?)?;
        if at == 0 && value == 0 {
            return None;
        }
        index = index.checked_mul(1000)?.checked_add(value)?;
    }
    index.checked_mul(1000)?.checked_add(three_digits(last)?)
}

fn three_digits(text: &str) -> Option<u64> {
    (text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

impl FromStr for TilePath {
    type Err = TilePathError;

    fn from_str(text: &str) -> Result<Self, TilePathError> {
        Self::parse(text).ok_or_else(|| TilePathError { text: text.chars().take(80).collect() })
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes { level } => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for group in groups[1..].iter().rev() {
            write!(f, "x{group:03}/")?;
        }
        write!(f, "{:03}", groups[0])?;
        if self.is_partial() { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

impl fmt::Debug for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
