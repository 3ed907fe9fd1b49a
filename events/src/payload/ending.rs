//! The end of a cycle: panel, evaluation, publication, termination, renewal, closing.

use chrono::NaiveDate;
use smol_str::SmolStr;

use super::common::{Evidence, Grade, Paper};
use crate::{OrganisationId, Sealed};

payload! {
    /// One expert of the panel.
    PanelMember {
        /// True for the convener.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        convener: bool,
        /// Who employs the expert, in clear: a conflict of interest is decided on it.
        employer: OrganisationId,
        /// Id of the expert within the cycle, such as `e1`; never a name.
        expert: SmolStr,
        /// The expert's name, sealed.
        person: Option<Sealed>,
    }
}

payload! {
    /// 组建专家组: the experts of the end-of-term evaluation are convened.
    PanelConvened {
        /// The experts.
        members: Vec<PanelMember>,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
    }
}

payload! {
    /// 回避: an expert withdraws.
    RecusalDeclared {
        /// Id of the expert.
        expert: SmolStr,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
    }
}

payload! {
    /// One indicator of an evaluation.
    IndicatorScore {
        /// Id of the indicator in the scheme, such as `1.2`.
        indicator: SmolStr,
        /// Most that it can score, in hundredths of a point.
        max_centi: i64,
        /// Score in hundredths of a point.
        score_centi: i64,
    }
}

payload! {
    /// 委托办学绩效评估: the evaluation of the whole term, on the panel's signed opinion.
    EndOfTermEvaluationRecorded {
        /// Grade given.
        grade: Grade,
        /// Scores of the indicators.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        indicators: Vec<IndicatorScore>,
        /// The panel's signed opinion.
        opinion: Evidence,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// Satisfaction, apart from the score, in hundredths of a percent.
        satisfaction_centi: Option<i64>,
        /// What the school gained, in hundredths of a point.
        school_gain_centi: Option<i64>,
        /// Score in hundredths of a point, on the rulebook's scale.
        score_centi: i64,
        /// What the trustee put in, in hundredths of a point.
        trustee_effort_centi: Option<i64>,
        /// Veto items that cap the grade, as the rulebook's codes.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        vetoes: Vec<SmolStr>,
    }
}

payload! {
    /// 公示: the result is made public.
    ResultPublicised {
        /// First day.
        from: NaiveDate,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// Last day.
        until: NaiveDate,
    }
}

codes! {
    /// Why an entrustment was ended before its time.
    TerminationGrounds {
        /// Poor work.
        PoorWork "工作不力",
        /// Broken agreement.
        Breach "违约",
        /// By agreement of the parties.
        MutualConsent "协商一致",
        /// The school or the trustee no longer exists.
        PartyClosed "机构撤并",
        /// Another reason, told in the paper.
        Other "其他",
    }
}

payload! {
    /// 中止委托关系: the bureau ends the entrustment.
    AgreementTerminated {
        /// Why.
        grounds: TerminationGrounds,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
    }
}

payload! {
    /// 续签: whether another round follows.
    RenewalDecided {
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// True when another round follows.
        renew: bool,
    }
}
