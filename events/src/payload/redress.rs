//! Redress, praise, and what may happen at any time: evidence, objections, corrections, audit findings, erasure.

use chrono::NaiveDate;
use smol_str::SmolStr;

use super::common::{EntryRef, Paper};
use crate::{OrganisationId, Replacement};

payload! {
    /// 责令整改, 整改报告, 整改销号: one matter that has to be put right, by its id.
    Rectification {
        /// Day by which it is to be put right (in the order; the rulebook's period where absent).
        due_on: Option<NaiveDate>,
        /// Id of the matter within the cycle, such as `r1`.
        matter: SmolStr,
        /// The party ordered to act (in the order).
        of: Option<OrganisationId>,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
    }
}

payload! {
    /// 问责: somebody is held to account; the person, where one is meant, only in a sealed note.
    AccountabilityImposed {
        /// What was imposed, as a code or short words.
        measure: SmolStr,
        /// Which organisation it concerns.
        of: OrganisationId,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
    }
}

payload! {
    /// 移送: a matter is handed to another authority.
    MatterReferred {
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// The authority it is handed to, by name.
        to: SmolStr,
    }
}

payload! {
    /// 表彰, 通报表扬: an organisation is commended or praised.
    Honour {
        /// Organisation that approved the honour, where an approval is needed.
        approved_by: Option<SmolStr>,
        /// The paper behind the act; a commendation usually carries a document number.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// Who is honoured.
        recipient: OrganisationId,
    }
}

payload! {
    /// 考核奖: a prize that follows an assessment. Neither commendation nor praise.
    PrizeAwarded {
        /// Amount in fen.
        amount_fen: i64,
        /// Class of the prize, from 1.
        class: Option<u32>,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// Who is given it.
        recipient: OrganisationId,
    }
}

payload! {
    /// 佐证: evidence is added, to the cycle or to one record of it.
    EvidenceAttached {
        /// The record that it belongs to.
        entry: Option<EntryRef>,
        /// The evidence.
        paper: Paper,
    }
}

payload! {
    /// 异议: a party objects to a record.
    ObjectionFiled {
        /// The record objected to.
        entry: EntryRef,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
    }
}

codes! {
    /// How an objection ended.
    ObjectionOutcome {
        /// The objection was right.
        Upheld "成立",
        /// It was right in part.
        PartlyUpheld "部分成立",
        /// It was not.
        Dismissed "不成立",
    }
}

payload! {
    /// 复核: another reviewer decides an objection (`paper.by` names the reviewing body).
    ObjectionResolved {
        /// The objection decided.
        objection: EntryRef,
        /// How it ended.
        outcome: ObjectionOutcome,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
    }
}

payload! {
    /// 更正: names a record and says what it should have said. Both stay visible.
    RecordCorrected {
        /// The record corrected.
        corrects: EntryRef,
        /// The effective date that the record should have had.
        #[schemars(with = "Option<String>")]
        effective: Option<weituo_proof::Effective>,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// What the record should have said, whole; of the same type as the record.
        replacement: Option<Replacement>,
    }
}

codes! {
    /// How grave an audit finding is.
    Severity {
        /// To be noted.
        Note "提示",
        /// To be mended.
        Minor "一般",
        /// Grave.
        Major "严重",
    }
}

payload! {
    /// 审计发现: an auditor's finding, confirmed by people (已认定问题).
    AuditFindingRecorded {
        /// What rule or matter it concerns, as a code.
        code: SmolStr,
        /// The record that it concerns.
        entry: Option<EntryRef>,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// How grave it is.
        severity: Severity,
    }
}

payload! {
    /// 擦除披露: a disclosure was erased; the sealed digest stays.
    DisclosureErased {
        /// Digest of the disclosure, 43 characters of base64url.
        digest: String,
        /// Legal or other grounds, in clear: they are shown wherever the erased value stood.
        grounds: String,
        /// Leaf index of the entry whose sealed value was erased.
        leaf_index: u64,
    }
}
