//! Before and at the start: scheme, parties, consent, signing, amendment, plan.

use chrono::NaiveDate;
use smol_str::SmolStr;

use super::common::{Countersignature, Exception, Paper, Renews, RulebookPin};
use crate::OrganisationId;

payload! {
    /// 印发委托办学实施方案: the bureau issues an implementation scheme.
    SchemeIssued {
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// The rulebook the cycle is opened under.
        rulebook: RulebookPin,
    }
}

payload! {
    /// 落实托管双方名单: the bureau settles both parties.
    PartiesDesignated {
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// The rulebook the cycle is opened under.
        rulebook: RulebookPin,
        /// The entrusted school (托管学校).
        school: OrganisationId,
        /// The trustee (受托单位).
        trustee: OrganisationId,
    }
}

payload! {
    /// 签订委托办学协议书: the agreement is signed; its term begins on `term_start`.
    AgreementSigned {
        /// Countersignatures of the entrusted school and the trustee.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        countersigned: Vec<Countersignature>,
        /// Duties delegated (职责授权), as codes or short words.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        delegated: Vec<SmolStr>,
        /// Says why a rule that holds in principle does not hold here.
        exception: Option<Exception>,
        /// Price of the service over the whole term, in fen.
        fee_fen: Option<i64>,
        /// Fields to be improved, an open list.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        fields: Vec<SmolStr>,
        /// Form of the arrangement, one of the rulebook's codes.
        form: Option<SmolStr>,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// The cycle that this one renews, and the round.
        renews: Option<Renews>,
        /// The rulebook this agreement is signed under; version and digest stay pinned.
        rulebook: RulebookPin,
        /// The entrusted school.
        school: OrganisationId,
        /// Length of the term in months; the rulebook's where absent.
        term_months: Option<u32>,
        /// First day of the term.
        term_start: NaiveDate,
        /// The trustee.
        trustee: OrganisationId,
    }
}

payload! {
    /// 变更: what of the agreement changes; absent fields stay.
    AgreementAmended {
        /// Says why a rule that holds in principle does not hold for the new term.
        exception: Option<Exception>,
        /// New price over the whole term, in fen.
        fee_fen: Option<i64>,
        /// New open list of fields to be improved.
        fields: Option<Vec<SmolStr>>,
        /// New form of the arrangement.
        form: Option<SmolStr>,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// New last day of the term.
        term_end: Option<NaiveDate>,
    }
}
