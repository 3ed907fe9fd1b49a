//! Education groups and communities: formation, charter, filings, parties in and out, monitoring.

use smol_str::SmolStr;

use super::common::{EntryRef, Paper, RulebookPin};
use crate::OrganisationId;

payload! {
    /// 批准组建: a group is approved.
    GroupApproved {
        /// Form of the group, one of the rulebook's codes.
        form: Option<SmolStr>,
        /// The lead school (牵头校、龙头校、核心校).
        lead: OrganisationId,
        /// The members.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        members: Vec<OrganisationId>,
        /// Name of the group.
        name: SmolStr,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// The rulebook the group is formed under.
        rulebook: RulebookPin,
        /// Length of the term in months, where it has one.
        term_months: Option<u32>,
        /// First day of the term.
        term_start: Option<chrono::NaiveDate>,
    }
}

payload! {
    /// 报备: a document is lodged with an authority.
    DocumentLodged {
        /// What is lodged, such as `charter`, `yearly_plan` or `development_plan`.
        kind: SmolStr,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// The authority it is lodged with.
        with: OrganisationId,
        /// Year of the cycle that it is for, from 1.
        year: Option<u32>,
    }
}

payload! {
    /// 准予备案: a filing is accepted.
    FilingAccepted {
        /// The filing.
        filing: EntryRef,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
    }
}

payload! {
    /// 纳新, 退出: a party comes in or goes out.
    PartyChange {
        /// Grounds, as a code.
        grounds: Option<SmolStr>,
        /// The party.
        organisation: OrganisationId,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
    }
}

payload! {
    /// 质量监测: one monitoring of quality.
    QualityMonitored {
        /// The organisation monitored; the whole cycle where absent.
        organisation: Option<OrganisationId>,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// Score in hundredths of a point, on the rulebook's scale.
        score_centi: Option<i64>,
    }
}
