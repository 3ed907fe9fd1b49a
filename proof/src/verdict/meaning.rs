//! What each kind of finding means for a reader, and what it does not mean.
//!
//! Invariants: one sentence a kind and language; it accuses nobody, since a machine finds and people decide.
//! Source: design.md "Verification"; regions.md "Words on the screen".

use super::{FindingKind, Language};

impl FindingKind {
    /// Returns one sentence for a reader: what the finding means and what it does not.
    pub fn meaning(self, language: Language) -> &'static str {
        match language {
            Language::En => self.in_english(),
            Language::Zh => self.in_chinese(),
        }
    }

    #[expect(clippy::too_many_lines, reason = "a table, one arm a kind")]
    fn in_english(self) -> &'static str {
        match self {
            Self::NotCanonical => {
                "The stored bytes are not in the one permitted spelling, so they are not what the ledger wrote; this does not say what they were."
            }
            Self::BadEntry => {
                "The stored bytes are not an entry of a format this program knows; it does not follow that the record was false."
            }
            Self::LeafHashDiffers => {
                "The entry's bytes or its stored hash were changed after it was recorded; other entries are not affected by this finding."
            }
            Self::ChainBroken => {
                "This entry does not name the entry before it in its stream, so one of the two was altered, removed or inserted; it does not say which."
            }
            Self::SequenceGap => {
                "Numbers are missing or repeated in this stream, so an entry was removed, repeated or moved; it does not say what it held."
            }
            Self::LeafMissing => {
                "The log counted an entry in this place and it is not there; the checkpoint proves that it existed, not what it said."
            }
            Self::LeafDuplicated => {
                "Two entries claim the same place in the log; at most one of them is the one that was acknowledged."
            }
            Self::RootDiffers => {
                "The entries as stored do not add up to the root that was signed, so something in the log was changed; this alone does not say where."
            }
            Self::SizeDiffers => {
                "The log holds another number of entries than was signed for; entries were removed or added outside the ledger."
            }
            Self::CheckpointSignature => {
                "The checkpoint has no signature that holds by a key you trust, so it vouches for nothing; the entries may still be genuine."
            }
            Self::CheckpointNotExtended => {
                "The log is not an extension of a checkpoint that was kept, so its history was rolled back or there are two versions of it; keep both checkpoints as evidence."
            }
            Self::SealWrong => {
                "The log's head in the database was not written by the holder of the signing key; it may be a restored copy or a manipulation."
            }
            Self::RecordedAtDecreases => {
                "An entry claims to have been recorded before its predecessor in the log, so one of the times is wrong; the order of the entries still holds."
            }
            Self::ActorSignature => {
                "The entry's signature is not a valid one of a key enrolled for this organisation at that time, so its authorship is not proven."
            }
            Self::RulebookDigest => {
                "The rulebook at hand is not the one that the record was made under; irregularities judged by it may be wrong."
            }
            Self::ColumnDiffers => {
                "A database column says something else than the signed entry it repeats; the entry is what counts, and lists made from the column may mislead."
            }
            Self::ProjectionDiffers => {
                "A displayed state is not what the entries amount to; the entries are what counts, and a rebuild mends the display."
            }
            Self::ProjectionMissing => {
                "A state that follows from the entries is not displayed; the entries are there, and a rebuild mends the display."
            }
            Self::ProjectionExtra => {
                "Something is displayed that no entry supports; do not rely on it until the display is rebuilt."
            }
            Self::IndexRootDiffers => {
                "The index of what belongs to whom, as the operator signed it, is not what the entries give, so proofs of completeness that rest on it prove nothing."
            }
            Self::IndexProof => {
                "The entries at hand are not all that the signed index counts for this stream or party, so something is left out or does not belong."
            }
            Self::DisclosureMissing => {
                "A sealed text is gone although no erasure was recorded; the entry itself is unaltered, but this text can no longer be read."
            }
            Self::DisclosureUnmatched => {
                "A text presented as the sealed one is not the text that was recorded; disregard it."
            }
            Self::DisclosureNotErased => {
                "A sealed text is still there although its erasure was recorded; the erasure was not carried out or was undone."
            }
            Self::CommandDuplicated => {
                "One command was recorded twice, which the ledger never does; one of the two entries did not come through it."
            }
            Self::OriginDiffers => {
                "This belongs to another ledger than the one you asked about; it may be genuine there."
            }
            Self::CursorWrong => {
                "The display does not know how far it has read the log, so it may be out of date; the entries are not affected."
            }
            Self::SchemaDiffers => {
                "The database's tables are not those that this program makes, so safeguards may be missing; it does not follow that entries were altered."
            }
            Self::AnchorDamaged => {
                "What is kept outside the database so that a rolled back one would be noticed is not this log's, or was damaged; the entries may be unaltered, but that none is missing at the end cannot be told."
            }
            Self::AnchorDiffers => {
                "The database contradicts the newest checkpoint kept outside it, so it was rolled back or replaced; what was acknowledged since may be missing."
            }
            Self::TileDiffers => {
                "A published tile or bundle is not what the log holds, so those who read only the published files see something else."
            }
            Self::ReceiptUnmet => {
                "A receipt proves an entry that is not here, so something acknowledged was removed or left out."
            }
            Self::AfterFreeze => {
                "An entry follows the one that closed this log for good, so it was not recorded by the rules."
            }
            Self::CosignatureInvalid => {
                "A witness's signature on the checkpoint does not hold, so this witness's word is not to be counted."
            }
            Self::PayloadUnknown => {
                "The entry's content is not of a kind or version that this program knows, so what it means could not be read; the entry itself may be unaltered."
            }
            Self::EvidenceDiffers => {
                "An evidence file is not the one whose digest was recorded; the record stands, this file does not support it."
            }
            Self::DossierMalformed => {
                "The file is not a dossier as the ledger writes one, so nothing in it is proven; it may be damaged, cut or made by somebody else."
            }
            Self::EntryNotIncluded => {
                "This entry is not proven to be in the log that the checkpoint commits to: it was altered, or was never recorded there."
            }
            Self::StateDiffers => {
                "The state that the file states is not the one that its entries give; go by the entries."
            }
            Self::BackDated => {
                "The entry says that it was recorded before a time at which the log was seen without it: its time of recording is not true."
            }
            Self::LogSilent => {
                "The log has shown no checkpoint for longer than was agreed; it does not follow that anything was altered."
            }
        }
    }

    #[expect(clippy::too_many_lines, reason = "a table, one arm a kind")]
    fn in_chinese(self) -> &'static str {
        match self {
            Self::NotCanonical => {
                "核验异常:存储内容不是唯一允许的写法,因此不是台账写入的原文;但不能由此得知原文是什么。"
            }
            Self::BadEntry => "核验异常:存储内容不是本程序认识的存证记录格式;不代表所记事项虚假。",
            Self::LeafHashDiffers => "核验异常:该存证记录的内容或其哈希在存证之后被改动;不涉及其他存证记录。",
            Self::ChainBroken => {
                "核验异常:该存证记录没有接续同一序列的前一条,两条之中必有一条被改动、移除或插入;不能由此判定是哪一条。"
            }
            Self::SequenceGap => {
                "核验异常:该序列的编号有缺失或重复,说明有存证记录被移除、重复或移位;不能由此得知其内容。"
            }
            Self::LeafMissing => {
                "核验异常:台账在此位置计有一条存证记录而现已不见;检查点证明它存在过,但不证明其内容。"
            }
            Self::LeafDuplicated => {
                "核验异常:两条存证记录占用台账的同一位置;其中至多一条是出具过存证回执的。"
            }
            Self::RootDiffers => {
                "核验异常:现存的存证记录与已签名的根哈希不符,说明台账内容有改动;仅凭此项不能指出位置。"
            }
            Self::SizeDiffers => {
                "核验异常:台账的存证记录条数与已签名的条数不符,说明有存证记录在台账之外被移除或添加。"
            }
            Self::CheckpointSignature => {
                "核验异常:该检查点上没有由您信任的密钥作出的有效签名,不能作证;存证记录本身仍可能是真的。"
            }
            Self::CheckpointNotExtended => {
                "核验异常:台账不是先前留存检查点的延续,说明历史被回退或存在两个版本;请保留两个检查点作为证据。"
            }
            Self::SealWrong => {
                "核验异常:数据库中的台账末端不是签名密钥持有者写入的,可能是恢复的旧副本,也可能是人为改动。"
            }
            Self::RecordedAtDecreases => {
                "核验异常:该存证记录的存证时间早于台账中的前一条,必有一个时间有误;存证记录的先后顺序仍然成立。"
            }
            Self::ActorSignature => {
                "核验异常:该存证记录的签名不是该单位当时登记密钥的有效签名,因此不能证明由其所记。"
            }
            Self::RulebookDigest => {
                "核验异常:手头的规则依据不是该存证记录当时所用的版本;据此判断的疑点可能有误。"
            }
            Self::ColumnDiffers => {
                "核验异常:数据库某一列与其所复述的存证记录不一致;以存证记录为准,据该列生成的清单可能误导。"
            }
            Self::ProjectionDiffers => {
                "核验异常:页面显示的状态与存证记录推算的结果不一致;以存证记录为准,重建后即可恢复。"
            }
            Self::ProjectionMissing => {
                "核验异常:由存证记录推算应有的状态没有显示;存证记录仍在,重建后即可恢复。"
            }
            Self::ProjectionExtra => "核验异常:页面显示了没有存证记录支持的内容;重建之前请勿采信。",
            Self::IndexRootDiffers => {
                "核验异常:运营方签名的归属索引与存证记录推算的结果不一致,以它为据的“无遗漏”证明不成立。"
            }
            Self::IndexProof => {
                "核验异常:手头的存证记录与已签名索引所计的不一致,说明该序列或该单位有遗漏,或混入了不属于它的内容。"
            }
            Self::DisclosureMissing => {
                "核验异常:一段密封内容已不见,却没有删除的存证记录;存证记录本身未改动,但该内容已无法读取。"
            }
            Self::DisclosureUnmatched => "核验异常:所出示的内容不是当时密封的内容;请勿采信。",
            Self::DisclosureNotErased => {
                "核验异常:一段密封内容已有删除的存证记录却仍然存在,说明删除没有执行或被恢复。"
            }
            Self::CommandDuplicated => {
                "核验异常:同一指令被存证两次,台账本身不会如此;其中一条不是经台账写入的。"
            }
            Self::OriginDiffers => "核验异常:这属于另一个台账,不是您所查询的台账;在其所属台账中可能是真的。",
            Self::CursorWrong => "核验异常:页面数据不知道自己读到台账的哪一条,可能已过时;存证记录不受影响。",
            Self::SchemaDiffers => {
                "核验异常:数据库的表结构与本程序建立的不同,可能缺少保护措施;不代表存证记录被改动。"
            }
            Self::AnchorDamaged => {
                "核验异常:库外留存、用来发现数据库被回退的锚点已损坏,或不属于本台账;存证记录可能并未改动,但末尾是否有缺失已无从得知。"
            }
            Self::AnchorDiffers => {
                "核验异常:数据库与库外留存的最新检查点矛盾,说明数据库被回退或替换;此后已出具回执的内容可能缺失。"
            }
            Self::TileDiffers => {
                "核验异常:对外发布的文件与台账内容不一致,只看发布文件的人看到的是另一份内容。"
            }
            Self::ReceiptUnmet => {
                "核验异常:一份存证回执证明的存证记录不在此处,说明有已确认的内容被移除或遗漏。"
            }
            Self::AfterFreeze => "核验异常:该存证记录位于台账封存之后,不是按规则存证的。",
            Self::CosignatureInvalid => "核验异常:某见证方在检查点上的签名不成立,该见证不应计入。",
            Self::PayloadUnknown => {
                "核验异常:该存证记录的内容类型或版本不是本程序认识的,无法解读其含义;存证记录本身可能未改动。"
            }
            Self::EvidenceDiffers => {
                "核验异常:佐证文件不是当时登记摘要的那一份;存证记录有效,但该文件不能佐证它。"
            }
            Self::DossierMalformed => {
                "核验异常:文件不是台账所写的存证卷宗,其中内容均不能证明;可能已损坏、被截断,或由他人制作。"
            }
            Self::EntryNotIncluded => "核验异常:不能证明这条记录在检查点所指的台账中:记录被改动,或从未存证。",
            Self::StateDiffers => "核验异常:文件所述状态与其存证记录推算的不同;请以存证记录为准。",
            Self::BackDated => "核验异常:这条记录所称的存证时间之后,台账曾被看到没有它:存证时间不实。",
            Self::LogSilent => "核验异常:台账过久没有给出检查点;不能由此断定记录被改动。",
        }
    }
}
