use std::collections::HashMap;
use std::convert::Infallible;

use super::*;
use crate::hash::leaf_hash;
use crate::ident::LeafIndex;
use crate::tree::{MemoryNodes, inclusion_proof, root, verify_inclusion};

fn nodes(size: u64) -> MemoryNodes {
    let mut nodes = MemoryNodes::new();
    nodes.extend((0..size).map(|index| leaf_hash(&index.to_be_bytes())));
    nodes
}

fn files(nodes: &MemoryNodes) -> HashMap<TilePath, Vec<u8>> {
    tiles_of(nodes.size()).map(|path| (path, hash_tile(nodes, &path).unwrap())).collect()
}

#[test]
fn paths_are_those_of_the_specification() {
    for text in [
        "tile/0/000",
        "tile/0/x001/x234/067",
        "tile/7/x018/000.p/1",
        "tile/entries/x001/000.p/255",
        "tile/63/999",
        "tile/entries/x072/x057/x594/x037/x927/935",
    ] {
        assert_eq!(text.parse::<TilePath>().unwrap().to_string(), text);
    }
    let path: TilePath = "tile/0/x001/x234/067.p/17".parse().unwrap();
    assert_eq!((path.level(), path.index(), path.width()), (Some(0), 1_234_067, 17));
    for bad in [
        "",
        "tile/0",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/x072/x057/x594/x037/x927/936",
        "tile/data/000",
        "tile/8/0/000",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        "tile/0/000.p/1.p/1",
        "tile/0/+01",
    ] {
        assert!(bad.parse::<TilePath>().is_err(), "{bad}");
    }
}

#[test]
fn a_tree_of_70_000_has_the_tiles_of_the_specification() {
    let tiles: Vec<_> = tiles_of(TreeSize::new(70_000)).collect();
    let count = |level, partial| {
        tiles.iter().filter(|t| t.level() == Some(level) && t.is_partial() == partial).count()
    };
    assert_eq!((count(0, false), count(0, true)), (273, 1));
    assert_eq!((count(1, false), count(1, true), count(2, true)), (1, 1, 1));
    let partial: Vec<_> = tiles.iter().filter(|t| t.is_partial()).map(ToString::to_string).collect();
    assert_eq!(partial, ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]);
    assert_eq!(tiles.len(), 277);
    let of_256: Vec<_> = tiles_of(TreeSize::new(256)).map(|t| t.to_string()).collect();
    assert_eq!(of_256, ["tile/0/000", "tile/1/000.p/1"]);
    assert_eq!(tiles_of(TreeSize::new(0)).count(), 0);
}

#[test]
fn growth_needs_only_the_tiles_that_changed() {
    let between = |from, to| {
        tiles_between(TreeSize::new(from), TreeSize::new(to)).map(|t| t.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(between(255, 257), ["tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]);
    assert_eq!(between(256, 300), ["tile/0/001.p/44"]);
    assert!(between(300, 300).is_empty());
    let bundles: Vec<_> =
        bundles_between(TreeSize::new(256), TreeSize::new(600)).map(|t| t.to_string()).collect();
    assert_eq!(bundles, ["tile/entries/001", "tile/entries/002.p/88"]);
}

#[test]
fn the_tree_reads_the_same_through_tiles_as_from_memory() {
    for size in [0, 1, 2, 255, 256, 257, 512, 65_535, 65_536, 65_793] {
        let nodes = nodes(size);
        let files = files(&nodes);
        let fetch = |path: &TilePath| Ok::<_, Infallible>(files[path].clone());
        let tiles = TileNodes::open(nodes.size(), &nodes.root(), fetch).unwrap();
        assert_eq!(root(&tiles, nodes.size()).unwrap(), nodes.root());
        for index in (0..size).step_by(997) {
            let at = LeafIndex::new(index);
            let proof = inclusion_proof(&tiles, at, tiles.size()).unwrap();
            let leaf = leaf_hash(&index.to_be_bytes());
            assert_eq!(verify_inclusion(&leaf, at, tiles.size(), &proof, &nodes.root()), Ok(()));
        }
        assert!(matches!(tiles.node(0, size), Err(TileReadError::OutsideTree { .. })));
        assert!(matches!(tiles.node(64, 0), Err(TileReadError::OutsideTree { .. })));
    }
}

#[test]
fn every_altered_hash_of_every_tile_is_noticed() {
    let nodes = nodes(600);
    let good = files(&nodes);
    for altered in good.keys() {
        for offset in (0..good[altered].len()).step_by(32) {
            let mut files = good.clone();
            files.get_mut(altered).unwrap()[offset] ^= 1;
            let fetch = |path: &TilePath| Ok::<_, Infallible>(files[path].clone());
            let read = TileNodes::open(nodes.size(), &nodes.root(), fetch)
                .and_then(|tiles| (0..600).try_for_each(|index| tiles.node(0, index).map(|_| ())));
            match read.unwrap_err() {
                TileReadError::RootDiffers { .. } => assert!(altered.is_partial()),
                TileReadError::TileDiffers { path, .. } => assert_eq!(path, *altered),
                other => panic!("{other}"),
            }
        }
    }
}

#[test]
fn a_tile_of_another_length_or_kind_is_refused() {
    let path: TilePath = "tile/0/000.p/2".parse().unwrap();
    let refused = HashTile::parse(path, &[0; 65]);
    assert_eq!(refused, Err(TileError::Length { path, expected: 64, found: 65 }));
    let tile = HashTile::parse(path, &[0; 64]).unwrap();
    assert_eq!((tile.hashes().len(), tile.node(2, 0), tile.node(0, 2)), (2, None, None));
    assert_eq!(tile.node(1, 0), Some(node_hash(&Hash::ZERO, &Hash::ZERO)));
    let bundle: TilePath = "tile/entries/000.p/2".parse().unwrap();
    assert_eq!(HashTile::parse(bundle, &[0; 64]), Err(TileError::Kind { path: bundle }));
}

#[test]
fn bundles_hold_exactly_their_entries() {
    let entries = [b"a".to_vec(), Vec::new(), vec![7; 65_535]];
    let bundle = encode_bundle(&entries).unwrap();
    assert_eq!(&bundle[..5], [0, 1, b'a', 0, 0]);
    assert_eq!(decode_bundle(&bundle, 3).unwrap(), entries);
    assert_eq!(decode_bundle(&bundle, 4), Err(TileError::BundleEnds { entry: 3, expected: 4 }));
    assert_eq!(decode_bundle(&bundle, 2), Err(TileError::BundleExceeds { bytes: 65_537, expected: 2 }));
    assert_eq!(decode_bundle(&bundle[..4], 2), Err(TileError::BundleEnds { entry: 1, expected: 2 }));
    let large = encode_bundle(&[vec![0; 65_536]]);
    assert_eq!(large, Err(TileError::EntryTooLarge { entry: 0, bytes: 65_536 }));
    assert_eq!(encode_bundle::<&[u8]>(&[]), Err(TileError::BundleWidth { count: 0 }));
    assert_eq!(encode_bundle(&[b""; 257]), Err(TileError::BundleWidth { count: 257 }));
}
