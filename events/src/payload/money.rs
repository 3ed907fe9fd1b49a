//! Money: budget, disbursement, acceptance of the service, settlement, recovery, prizes. Amounts are fen.

use smol_str::SmolStr;

use super::common::Paper;
use crate::OrganisationId;

payload! {
    /// 列入预算: an amount is put into a year's budget. Version 2; version 1 counted whole yuan.
    FundsBudgeted {
        /// Amount in fen.
        amount_fen: i64,
        /// Fiscal year of the budget.
        fiscal_year: i64,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// What the money is for, one of the rulebook's codes.
        purpose: Option<SmolStr>,
    }
}

payload! {
    /// 列入预算, version 1: the amount in whole yuan. Read through the upcaster, written no more.
    FundsBudgetedV1 {
        /// Amount in yuan.
        amount_yuan: i64,
        /// Fiscal year of the budget.
        fiscal_year: i64,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
    }
}

payload! {
    /// 拨付: money is paid to a party.
    FundsDisbursed {
        /// Amount in fen.
        amount_fen: i64,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// What the money is for, one of the rulebook's codes.
        purpose: Option<SmolStr>,
        /// The party that is paid.
        to: OrganisationId,
        /// Year of the cycle that it pays for, from 1.
        year: Option<u32>,
    }
}

payload! {
    /// 履约验收: the service bought is accepted, up to an amount.
    ServiceAccepted {
        /// Amount accepted for payment, in fen.
        amount_fen: i64,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// Year of the cycle that is accepted, from 1.
        year: Option<u32>,
    }
}

payload! {
    /// 结算: the account of the agreement is settled.
    FundsSettled {
        /// Amount settled in all, in fen.
        amount_fen: i64,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
    }
}

payload! {
    /// 追回: money is recovered from a party.
    FundsRecovered {
        /// Amount in fen.
        amount_fen: i64,
        /// The party that pays back.
        from: OrganisationId,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
    }
}
