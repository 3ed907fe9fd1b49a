//! The vocabulary: every event type, its version, its command, its stream, who may record it, and its names.
//!
//! Source: regions.md, Acts. Adding a type is one line here and, where its shape is new, one payload.

use std::fmt;
use std::io;
use std::str::FromStr;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use weituo_proof::Language;

use crate::payload::{
    AccountabilityImposed, ActivityRecorded, AgreementAmended, AgreementSigned, AgreementTerminated,
    AnchorAccepted, AnnualAssessmentRecorded, AnnualGoalsSet, AnnualSupervisionRecorded,
    AuditFindingRecorded, Confidential, DisclosureErased, DocumentLodged, EndOfTermEvaluationRecorded,
    EvidenceAttached, FilingAccepted, FundsBudgeted, FundsDisbursed, FundsRecovered, FundsSettled,
    GroupApproved, Honour, IndexCommitted, LogFrozen, LogKeyAdded, LogKeyRevoked, LogOpened, MatterReferred,
    ObjectionFiled, ObjectionResolved, OrganisationChanged, OrganisationClosed, OrganisationRegistered,
    PanelConvened, PartiesDesignated, PartyChange, PlainAct, PrizeAwarded, QualityMonitored,
    RecordAcknowledged, RecordCorrected, Rectification, RecusalDeclared, RenewalDecided, ResourceTransfer,
    ResultPublicised, Review, RulebookAdopted, RulebookRepealed, SchemeIssued, ServiceAccepted,
    SigningKeyEnrolled, SigningKeyRevoked,
};
use crate::{Seal, Sealed};

/// What an organisation is towards a cycle, and in what capacity somebody records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// 主管教育行政部门.
    Bureau,
    /// 教育督导机构.
    Inspectorate,
    /// 上级主管部门, which consents.
    Superior,
    /// 学校董(理)事会, which may consent instead.
    Board,
    /// 受托单位.
    Trustee,
    /// 托管学校.
    School,
    /// 牵头校、龙头校、核心校.
    Lead,
    /// 成员校.
    Member,
    /// 有关专家.
    Expert,
    /// Whoever runs the ledger.
    Operator,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 10] = [
        Self::Bureau,
        Self::Inspectorate,
        Self::Superior,
        Self::Board,
        Self::Trustee,
        Self::School,
        Self::Lead,
        Self::Member,
        Self::Expert,
        Self::Operator,
    ];

    /// Returns the role's code, as it stands in an entry.
    pub fn code(self) -> &'static str {
        self.names().0
    }

    /// Returns the role's name on a page.
    pub fn label(self, language: Language) -> &'static str {
        match language {
            Language::Zh => self.names().1,
            Language::En => self.names().2,
        }
    }

    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Bureau => ("bureau", "主管教育行政部门", "bureau"),
            Self::Inspectorate => ("inspectorate", "教育督导机构", "inspectorate"),
            Self::Superior => ("superior", "上级主管部门", "superior authority"),
            Self::Board => ("board", "学校董(理)事会", "board"),
            Self::Trustee => ("trustee", "受托单位", "trustee"),
            Self::School => ("school", "托管学校", "entrusted school"),
            Self::Lead => ("lead", "牵头校", "lead school"),
            Self::Member => ("member", "成员校", "member school"),
            Self::Expert => ("expert", "有关专家", "expert"),
            Self::Operator => ("operator", "台账运行方", "operator"),
        }
    }
}

impl FromStr for Role {
    type Err = UnknownName;
    fn from_str(code: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .into_iter()
            .find(|role| role.code() == code)
            .ok_or_else(|| UnknownName { what: "role", name: code.to_owned() })
    }
}

/// The kind of stream an event belongs to: the part of the stream's name before `/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// `agreement/<id>`: one cycle.
    Agreement,
    /// `organisation/<id>`.
    Organisation,
    /// `rulebook/<id>`.
    Rulebook,
    /// `log/main` and `log/index`.
    Log,
}

impl Category {
    /// Returns the part of a stream's name before `/`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Agreement => "agreement",
            Self::Organisation => "organisation",
            Self::Rulebook => "rulebook",
            Self::Log => "log",
        }
    }

    /// Returns the category of a stream, if it is one of ours.
    pub fn of(stream: &weituo_proof::StreamName) -> Option<Self> {
        [Self::Agreement, Self::Organisation, Self::Rulebook, Self::Log]
            .into_iter()
            .find(|category| category.code() == stream.category())
    }
}

/// A name that this version of the vocabulary does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a known {what}")]
pub struct UnknownName {
    /// What it should have been.
    pub what: &'static str,
    /// The name.
    pub name: String,
}

/// A payload that does not fit its type.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The type is unknown.
    #[error("event type {event_type:?} version {version} is not in this vocabulary")]
    Unknown {
        /// Type.
        event_type: String,
        /// Version.
        version: u32,
    },
    /// The payload does not have the type's shape.
    #[error("the payload is not that of {event_type} version {version}: {reason}")]
    Payload {
        /// Type.
        event_type: EventType,
        /// Version.
        version: u32,
        /// What did not fit, from the parser.
        reason: String,
    },
}

macro_rules! vocabulary {
    ($($name:ident $version:literal $command:ident $category:ident $payload:ty, [$($role:ident)*] $zh:literal $en:literal;)*) => {
        /// One event: its type with the payload of the type's newest version.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "type", content = "payload")]
        #[expect(missing_docs, reason = "each variant is documented by its payload and by regions.md, Acts")]
        pub enum Event { $($name($payload),)* }

        /// An event type.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[expect(missing_docs, reason = "each variant is documented by its payload and by regions.md, Acts")]
        pub enum EventType { $($name,)* }

        impl EventType {
            /// Every type, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the type's name, as it stands in an entry.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// Returns the newest version of the type's payload, from 1.
            pub fn version(self) -> u32 {
                match self { $(Self::$name => $version,)* }
            }

            /// Returns the command that makes this event.
            pub fn command(self) -> &'static str {
                match self { $(Self::$name => stringify!($command),)* }
            }

            /// Returns the kind of stream it belongs to.
            pub fn category(self) -> Category {
                match self { $(Self::$name => Category::$category,)* }
            }

            /// Returns who may record it at all; a rulebook may narrow this.
            pub fn recorders(self) -> &'static [Role] {
                match self { $(Self::$name => &[$(Role::$role,)*],)* }
            }

            /// Returns the type's name on a page.
            pub fn label(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Self::$name, Language::Zh) => $zh, (Self::$name, Language::En) => $en,)*
                }
            }

            /// Returns the JSON Schema of the newest payload.
            pub fn schema(self) -> Schema {
                match self { $(Self::$name => schemars::schema_for!($payload),)* }
            }
        }

        impl Event {
            /// Returns the event's type.
            pub fn event_type(&self) -> EventType {
                match self { $(Self::$name(_) => EventType::$name,)* }
            }

            fn write_payload(&self, out: impl io::Write) -> serde_json::Result<()> {
                match self { $(Self::$name(payload) => serde_json::to_writer(out, payload),)* }
            }

            pub(crate) fn parse_newest(event_type: EventType, json: &str) -> Result<Self, serde_json::Error> {
                match event_type { $(EventType::$name => serde_json::from_str(json).map(Self::$name),)* }
            }
        }

        impl Seal for Event {
            fn each_sealed(&mut self, visit: &mut dyn FnMut(&mut Sealed)) {
                match self { $(Self::$name(payload) => payload.each_sealed(visit),)* }
            }
        }
    };
}

vocabulary! {
    SchemeIssued 1 IssueScheme Agreement SchemeIssued, [Bureau] "印发委托办学实施方案" "scheme issued";
    PartiesDesignated 1 DesignateParties Agreement PartiesDesignated, [Bureau] "落实托管双方名单" "parties designated";
    ConsentGranted 1 GrantConsent Agreement PlainAct, [Superior Board] "同意" "consent granted";
    ConsentRefused 1 RefuseConsent Agreement PlainAct, [Superior Board] "不同意" "consent refused";
    FundsBudgeted 2 BudgetFunds Agreement FundsBudgeted, [Bureau] "列入预算" "funds budgeted";
    FundsDisbursed 1 DisburseFunds Agreement FundsDisbursed, [Bureau] "拨付" "funds disbursed";
    ServiceAccepted 1 AcceptService Agreement ServiceAccepted, [Bureau] "履约验收" "service accepted";
    FundsSettled 1 SettleFunds Agreement FundsSettled, [Bureau] "结算" "funds settled";
    FundsRecovered 1 RecoverFunds Agreement FundsRecovered, [Bureau] "追回" "funds recovered";
    AgreementSigned 1 SignAgreement Agreement AgreementSigned, [Bureau] "签订委托办学协议书" "agreement signed";
    AgreementAmended 1 AmendAgreement Agreement AgreementAmended, [Bureau] "变更" "agreement amended";
    PlanSubmitted 1 SubmitPlan Agreement PlainAct, [Trustee Lead] "报送托管方案" "plan submitted";
    PlanAccredited 1 AccreditPlan Agreement Review, [Bureau] "托管方案评估认定" "plan accredited";
    PlanReturned 1 ReturnPlan Agreement PlainAct, [Bureau] "退回托管方案" "plan returned";
    AnnualGoalsSet 1 SetAnnualGoals Agreement AnnualGoalsSet, [Bureau] "年度工作目标" "annual goals set";
    AnnualAssessmentRecorded 1 RecordAnnualAssessment Agreement AnnualAssessmentRecorded, [Bureau] "分年评估" "annual assessment";
    AnnualSupervisionRecorded 1 RecordAnnualSupervision Agreement AnnualSupervisionRecorded, [Bureau Inspectorate] "年度督导及考核" "annual supervision";
    MidTermReviewRecorded 1 RecordMidTermReview Agreement Review, [Bureau] "托管中期评估" "mid-term review";
    ActivityRecorded 1 RecordActivity Agreement ActivityRecorded, [Trustee School Lead Member Bureau] "活动" "activity";
    ResourceTransferConsented 1 ConsentResourceTransfer Agreement ResourceTransfer, [Superior Board] "同意调剂" "resource transfer consented";
    ResourceTransferred 1 TransferResource Agreement ResourceTransfer, [Trustee Lead] "调剂" "resource transferred";
    RecordAcknowledged 1 AcknowledgeRecord Agreement RecordAcknowledged, [Trustee School] "对方确认" "record acknowledged";
    InterviewHeld 1 HoldInterview Agreement Confidential<PlainAct>, [Bureau Inspectorate] "约谈" "interview held";
    RectificationOrdered 1 OrderRectification Agreement Rectification, [Bureau Inspectorate] "责令整改" "rectification ordered";
    RectificationReported 1 ReportRectification Agreement Rectification, [Trustee School] "整改报告" "rectification reported";
    RectificationAccepted 1 AcceptRectification Agreement Rectification, [Bureau Inspectorate] "整改销号" "rectification accepted";
    AccountabilityImposed 1 ImposeAccountability Agreement Confidential<AccountabilityImposed>, [Bureau Inspectorate] "问责" "accountability imposed";
    MatterReferred 1 ReferMatter Agreement Confidential<MatterReferred>, [Bureau] "移送" "matter referred";
    CommendationAwarded 1 AwardCommendation Agreement Honour, [Bureau] "表彰" "commendation";
    PraiseCirculated 1 CirculatePraise Agreement Honour, [Bureau] "通报表扬" "praise circulated";
    PrizeAwarded 1 AwardPrize Agreement PrizeAwarded, [Bureau] "考核奖" "prize awarded";
    SelfEvaluationSubmitted 1 SubmitSelfEvaluation Agreement Review, [Trustee School] "自评" "self-evaluation";
    PanelConvened 1 ConvenePanel Agreement PanelConvened, [Bureau] "组建专家组" "panel convened";
    RecusalDeclared 1 DeclareRecusal Agreement RecusalDeclared, [Expert] "回避" "recusal declared";
    EndOfTermEvaluationRecorded 1 RecordEndOfTermEvaluation Agreement EndOfTermEvaluationRecorded, [Bureau] "委托办学绩效评估" "end-of-term evaluation";
    ResultPublicised 1 PubliciseResult Agreement ResultPublicised, [Bureau] "公示" "result made public";
    AgreementTerminated 1 TerminateAgreement Agreement AgreementTerminated, [Bureau] "中止委托关系" "agreement terminated";
    RenewalDecided 1 DecideRenewal Agreement RenewalDecided, [Bureau] "续签" "renewal decided";
    HandoverCompleted 1 CompleteHandover Agreement PlainAct, [Trustee School] "移交" "handover completed";
    CycleClosed 1 CloseCycle Agreement PlainAct, [Bureau] "办结" "cycle closed";
    GroupApproved 1 ApproveGroup Agreement GroupApproved, [Bureau] "批准组建" "group approved";
    CharterAdopted 1 AdoptCharter Agreement PlainAct, [Lead] "章程通过" "charter adopted";
    DocumentLodged 1 LodgeDocument Agreement DocumentLodged, [Lead] "报备" "document lodged";
    FilingAccepted 1 AcceptFiling Agreement FilingAccepted, [Bureau] "准予备案" "filing accepted";
    PartyAdmitted 1 AdmitParty Agreement PartyChange, [Bureau] "纳新" "party admitted";
    PartyExited 1 ReleaseParty Agreement PartyChange, [Bureau] "退出" "party exited";
    QualityMonitored 1 MonitorQuality Agreement QualityMonitored, [Bureau] "质量监测" "quality monitored";
    EvidenceAttached 1 AttachEvidence Agreement Confidential<EvidenceAttached>, [Bureau Inspectorate Superior Board Trustee School Lead Member Expert] "佐证" "evidence attached";
    ObjectionFiled 1 FileObjection Agreement ObjectionFiled, [Trustee School] "异议" "objection filed";
    ObjectionResolved 1 ResolveObjection Agreement ObjectionResolved, [Bureau] "复核" "objection resolved";
    RecordCorrected 1 CorrectRecord Agreement RecordCorrected, [Bureau Inspectorate Superior Board Trustee School Lead Member Expert] "更正" "record corrected";
    AuditFindingRecorded 1 RecordAuditFinding Agreement AuditFindingRecorded, [Bureau Inspectorate] "审计发现" "audit finding";
    OrganisationRegistered 1 RegisterOrganisation Organisation OrganisationRegistered, [Bureau] "登记" "organisation registered";
    OrganisationChanged 1 ChangeOrganisation Organisation OrganisationChanged, [Bureau] "变更登记" "organisation changed";
    OrganisationClosed 1 CloseOrganisation Organisation OrganisationClosed, [Bureau] "撤并" "organisation closed";
    SigningKeyEnrolled 1 EnrolSigningKey Organisation SigningKeyEnrolled, [Bureau Inspectorate Superior Board Trustee School Lead Member Expert] "签名密钥登记" "signing key enrolled";
    SigningKeyRevoked 1 RevokeSigningKey Organisation SigningKeyRevoked, [Bureau Inspectorate Superior Board Trustee School Lead Member Expert] "签名密钥撤销" "signing key revoked";
    RulebookAdopted 1 AdoptRulebook Rulebook RulebookAdopted, [Bureau] "规则依据启用" "rulebook adopted";
    RulebookRepealed 1 RepealRulebook Rulebook RulebookRepealed, [Bureau] "规则依据废止" "rulebook repealed";
    LogOpened 1 OpenLog Log LogOpened, [Operator] "台账启用" "log opened";
    IndexCommitted 1 CommitIndex Log IndexCommitted, [Operator] "索引提交" "index committed";
    LogKeyAdded 1 AddLogKey Log LogKeyAdded, [Operator] "台账密钥新增" "log key added";
    LogKeyRevoked 1 RevokeLogKey Log LogKeyRevoked, [Operator] "台账密钥撤销" "log key revoked";
    LogFrozen 1 FreezeLog Log LogFrozen, [Operator] "台账封存" "log frozen";
    AnchorAccepted 1 AcceptAnchor Log AnchorAccepted, [Operator] "锚点重设" "anchor accepted";
    DisclosureErased 1 EraseDisclosure Log DisclosureErased, [Operator Bureau] "擦除披露" "disclosure erased";
}

impl EventType {
    /// Returns the type that `command` makes.
    ///
    /// # Errors
    /// When no event is made by a command of that name.
    pub fn from_command(command: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .iter()
            .copied()
            .find(|event_type| event_type.command() == command)
            .ok_or_else(|| UnknownName { what: "command", name: command.to_owned() })
    }
}

/// Room for most payloads, so that writing one moves it nowhere.
const PAYLOAD_BYTES: usize = 1024;

impl Event {
    /// Returns the payload's canonical JSON.
    pub fn payload_json(&self) -> String {
        let mut json = Vec::with_capacity(PAYLOAD_BYTES);
        self.write_payload(&mut json).expect("a payload has only string keys and no fallible field");
        String::from_utf8(json).expect("JSON is UTF-8")
    }

    /// Returns whether the payload's canonical JSON is this text, without writing it anywhere.
    pub(crate) fn is_written(&self, text: &str) -> bool {
        let mut rest = Rest(text.as_bytes());
        self.write_payload(&mut rest).is_ok() && rest.0.is_empty()
    }
}

/// What of a text was not written yet; writing anything else fails.
struct Rest<'a>(&'a [u8]);

impl io::Write for Rest<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.strip_prefix(bytes).ok_or(io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl FromStr for EventType {
    type Err = UnknownName;
    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .iter()
            .copied()
            .find(|event_type| event_type.name() == name)
            .ok_or_else(|| UnknownName { what: "event type", name: name.to_owned() })
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
