//! Entry bundles: up to 256 entries, each with a 16-bit big-endian length before it.
//!
//! Source: C2SP tlog-tiles, "Log entries".

use super::{TILE_WIDTH, TileError};

/// Returns the bundle of 1 to 256 entries.
///
/// # Errors
///
/// `TileError` when an entry has more than 65,535 bytes or there are none or too many.
pub fn encode_bundle<E: AsRef<[u8]>>(entries: &[E]) -> Result<Vec<u8>, TileError> {
    if !(1..=usize::from(TILE_WIDTH)).contains(&entries.len()) {
        return Err(TileError::BundleWidth { count: entries.len() });
    }
    let mut bundle = Vec::with_capacity(entries.iter().map(|entry| 2 + entry.as_ref().len()).sum());
    for (at, entry) in entries.iter().enumerate() {
        let entry = entry.as_ref();
        let length = u16::try_from(entry.len())
            .map_err(|_| TileError::EntryTooLarge { entry: at, bytes: entry.len() })?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    Ok(bundle)
}

/// Returns the `width` entries of a bundle, borrowed from it.
///
/// # Errors
///
/// `TileError` when the bundle ends inside an entry or goes on after the last.
pub fn decode_bundle(bundle: &[u8], width: u16) -> Result<Vec<&[u8]>, TileError> {
    let expected = usize::from(width);
    let mut entries = Vec::with_capacity(expected);
    let mut rest = bundle;
    for entry in 0..expected {
        let ends = TileError::BundleEnds { entry, expected };
        let Some((length, after)) = rest.split_first_chunk() else { return Err(ends) };
        let length = usize::from(u16::from_be_bytes(*length));
        let Some((content, after)) = after.split_at_checked(length) else { return Err(ends) };
        entries.push(content);
        rest = after;
    }
    if rest.is_empty() { Ok(entries) } else { Err(TileError::BundleExceeds { bytes: rest.len(), expected }) }
}
