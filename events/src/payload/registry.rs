//! The registry: organisations, their signing keys, rulebooks.

use smol_str::SmolStr;
use weituo_proof::Hash;

use super::common::Paper;
use crate::{CreditCode, OrganisationId, RegionCode, SchoolCode, Sealed};

codes! {
    /// What an organisation is.
    OrganisationKind {
        /// A bureau of education (主管教育行政部门).
        Bureau "教育行政部门",
        /// A superior authority.
        SuperiorAuthority "上级主管部门",
        /// An inspectorate (教育督导机构).
        Inspectorate "教育督导机构",
        /// A public school.
        PublicSchool "公办学校",
        /// A private school.
        PrivateSchool "民办学校",
        /// A kindergarten.
        Kindergarten "幼儿园",
        /// A professional institution.
        Institution "专业机构",
        /// A school's board of directors (董(理)事会).
        Board "学校董(理)事会",
        /// A university or research body, as an employer of experts.
        University "高校或科研机构",
        /// Another body.
        Other "其他",
    }
}

payload! {
    /// 登记: an organisation is entered in the registry.
    OrganisationRegistered {
        /// 统一社会信用代码 (GB 32100).
        credit_code: Option<CreditCode>,
        /// What it is.
        kind: OrganisationKind,
        /// Name of the legal representative, sealed.
        legal_representative: Option<Sealed>,
        /// Name of the organisation.
        name: SmolStr,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// 行政区划代码.
        region: Option<RegionCode>,
        /// 学校(机构)标识码: a dated alias, never a key.
        school_code: Option<SchoolCode>,
        /// The authority above it.
        superior: Option<OrganisationId>,
    }
}

payload! {
    /// 变更: what of an organisation changes; absent fields stay.
    OrganisationChanged {
        /// New 统一社会信用代码.
        credit_code: Option<CreditCode>,
        /// New kind.
        kind: Option<OrganisationKind>,
        /// New legal representative, sealed.
        legal_representative: Option<Sealed>,
        /// New name.
        name: Option<SmolStr>,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// New 行政区划代码.
        region: Option<RegionCode>,
        /// New 学校(机构)标识码.
        school_code: Option<SchoolCode>,
        /// New authority above it.
        superior: Option<OrganisationId>,
    }
}

payload! {
    /// 撤并: an organisation is closed or merged into another.
    OrganisationClosed {
        /// The organisation that takes its place.
        merged_into: Option<OrganisationId>,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
    }
}

payload! {
    /// A signing key is enrolled for this organisation.
    SigningKeyEnrolled {
        /// Key id: hex SHA-256 of algorithm ‖ 0x00 ‖ public key.
        #[schemars(with = "String")]
        key: Hash,
        /// Proof of possession: the key's own signature, base64 (docs/format.md, Signatures by actors).
        possession: String,
        /// Ed25519 public key, base64.
        public_key: String,
    }
}

payload! {
    /// A signing key is revoked from this entry on.
    SigningKeyRevoked {
        /// Key id.
        #[schemars(with = "String")]
        key: Hash,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
    }
}

payload! {
    /// A rulebook's version is adopted, with its exact text.
    RulebookAdopted {
        /// SHA-256 of the text; filled in by the ledger.
        #[schemars(with = "Option<String>")]
        digest: Option<Hash>,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// The rulebook, TOML, exactly as read.
        text: String,
        /// Version, from 1, as the text says.
        version: u32,
    }
}

payload! {
    /// A rulebook's version may not be pinned any more.
    RulebookRepealed {
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// Version repealed.
        version: u32,
    }
}
