//! The course of a cycle: goals, the two yearly duties, mid-term review, activities, resources, acknowledgement.

use chrono::NaiveDate;
use smol_str::SmolStr;

use super::common::{EntryRef, Grade, Paper};
use crate::{OrganisationId, Sealed};

payload! {
    /// One goal of one year.
    Goal {
        /// Value at the outset, in hundredths of the unit.
        baseline_centi: Option<i64>,
        /// Field to be improved that the goal belongs to.
        field: Option<SmolStr>,
        /// Id within the cycle, such as `g1`.
        id: SmolStr,
        /// True where a smaller value is the better one.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        lower_is_better: bool,
        /// Value to be reached, in hundredths of the unit.
        target_centi: i64,
        /// What the goal says, sealed.
        text: Option<Sealed>,
        /// Unit of the values, such as `percent` or `points`.
        unit: SmolStr,
    }
}

payload! {
    /// What was reached of one goal.
    GoalResult {
        /// Id of the goal.
        goal: SmolStr,
        /// Value reached, in hundredths of the goal's unit.
        value_centi: i64,
    }
}

payload! {
    /// 年度工作目标: the goals of one year of the cycle.
    AnnualGoalsSet {
        /// The goals, at least one.
        goals: Vec<Goal>,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// Year of the cycle, from 1.
        year: u32,
    }
}

payload! {
    /// 分年评估: the entrusted school's progress of one year against that year's goals.
    AnnualAssessmentRecorded {
        /// Grade given.
        grade: Option<Grade>,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// Results against that year's goals.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        results: Vec<GoalResult>,
        /// Score in hundredths of a point, on the rulebook's scale.
        score_centi: i64,
        /// Year of the cycle, from 1.
        year: u32,
    }
}

payload! {
    /// 年度督导及考核: yearly supervision and assessment of the entrusted school. A duty apart from 分年评估.
    AnnualSupervisionRecorded {
        /// Grade given.
        grade: Option<Grade>,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// Score in hundredths of a point, on the rulebook's scale.
        score_centi: Option<i64>,
        /// Year of the cycle, from 1.
        year: u32,
    }
}

payload! {
    /// A reviewed judgement with an optional score: mid-term review, self-evaluation, accreditation of a plan.
    Review {
        /// Grade given.
        grade: Option<Grade>,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// Score in hundredths of a point, on the rulebook's scale.
        score_centi: Option<i64>,
    }
}

codes! {
    /// What kind of activity took place.
    ActivityKind {
        /// Follow-up guidance by the bureau.
        Guidance "跟踪指导",
        /// A secondment begins.
        SecondmentStart "派驻开始",
        /// A secondment ends.
        SecondmentEnd "派驻结束",
        /// A leadership team is appointed.
        LeadershipAppointed "组建班子",
        /// Staff of one school learn at another.
        Shadowing "跟岗学习",
        /// Support of many kinds.
        Support "多元扶持",
        /// A regular meeting.
        Meeting "例会",
        /// Exchange of teachers.
        Exchange "教师交流",
        /// An open class.
        OpenClass "公开课",
        /// Joint research.
        JointResearch "联合教研",
        /// A teaching contest.
        Contest "教学竞赛",
        /// Cultural exchange.
        CulturalExchange "文化交流",
        /// Outreach to other places.
        Outreach "送教下乡",
        /// A spot check.
        SpotCheck "现场检查",
        /// Training.
        Training "培训",
    }
}

payload! {
    /// 活动: something that was done during the course.
    ActivityRecorded {
        /// Last day, where it took more than one.
        ends_on: Option<NaiveDate>,
        /// What kind of activity.
        kind: ActivityKind,
        /// Organisations that took part, besides the recorder.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        organisations: Vec<OrganisationId>,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// How many persons took part.
        participants: Option<u32>,
        /// Subject taught or matter dealt with, as a code.
        subject: Option<SmolStr>,
    }
}

payload! {
    /// Something reallocated between the schools.
    Resource {
        /// What it is, such as `books` or `instruments`.
        kind: SmolStr,
        /// How many.
        quantity: u64,
        /// Unit counted in, such as `volume` or `set`.
        unit: SmolStr,
    }
}

payload! {
    /// 同意调剂 and 调剂: consent to a reallocation, or the reallocation itself.
    ResourceTransfer {
        /// The consent that a transfer rests on (absent in the consent itself).
        consent: Option<EntryRef>,
        /// From which organisation.
        from: OrganisationId,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// What is reallocated, at least one item.
        resources: Vec<Resource>,
        /// To which organisation.
        to: OrganisationId,
    }
}

codes! {
    /// What the other side says of a record.
    Response {
        /// It agrees.
        Agreed "认可",
        /// It does not.
        Disputed "有异议",
    }
}

payload! {
    /// 对方确认: the other side has read a record and says what it thinks of it.
    RecordAcknowledged {
        /// The record acknowledged.
        entry: EntryRef,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// Agreed or disputed.
        response: Response,
    }
}
