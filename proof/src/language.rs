//! The two languages that a reader is addressed in.

/// A language of the words on a page. Chinese first, English complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// 简体中文.
    Zh,
    /// English.
    En,
}
