//! Money: amounts that can be paid, years that a budget can have, payees that are parties, purposes known.

use weituo_events::{Event, OrganisationId, Refusal};
use weituo_projections::{Cycle, Rulebook};

use super::values::one_of;

/// Largest amount: what every reader of JSON can hold exactly.
const MAX_FEN: i64 = (1 << 53) - 1;

/// Fiscal years that a budget can be of.
const FISCAL_YEARS: std::ops::RangeInclusive<i64> = 1949..=2199;

/// Checks what an event says about money.
pub(super) fn check(cycle: &Cycle, event: &Event, rulebook: &Rulebook) -> Result<(), Refusal> {
    match event {
        Event::FundsBudgeted(payload) => {
            if !FISCAL_YEARS.contains(&payload.fiscal_year) {
                let (year, from, to) = (payload.fiscal_year, FISCAL_YEARS.start(), FISCAL_YEARS.end());
                return Err(Refusal::invalid(
                    "fiscal-year",
                    format!("预算年度 {year} 不可能;应为 {from} 至 {to}"),
                    format!("fiscal year {year} is impossible; {from} to {to} are accepted"),
                ));
            }
            one_of("purpose", payload.purpose.as_deref(), &rulebook.purposes)?;
            amount("amount_fen", payload.amount_fen, 1)
        }
        Event::FundsDisbursed(payload) => {
            one_of("purpose", payload.purpose.as_deref(), &rulebook.purposes)?;
            party(cycle, "to", &payload.to)?;
            amount("amount_fen", payload.amount_fen, 1)
        }
        Event::ServiceAccepted(payload) => amount("amount_fen", payload.amount_fen, 1),
        Event::FundsSettled(payload) => amount("amount_fen", payload.amount_fen, 0),
        Event::FundsRecovered(payload) => {
            party(cycle, "from", &payload.from)?;
            amount("amount_fen", payload.amount_fen, 1)
        }
        Event::PrizeAwarded(payload) => amount("amount_fen", payload.amount_fen, 1),
        Event::AgreementSigned(payload) => amount("fee_fen", payload.fee_fen.unwrap_or(0), 0),
        Event::AgreementAmended(payload) => amount("fee_fen", payload.fee_fen.unwrap_or(0), 0),
        _ => Ok(()),
    }
}

fn amount(field: &str, fen: i64, least: i64) -> Result<(), Refusal> {
    if (least..=MAX_FEN).contains(&fen) {
        return Ok(());
    }
    Err(Refusal::invalid(
        "amount",
        format!("{field} {fen} 不可能;应为 {least} 至 {MAX_FEN} 分"),
        format!("{field} {fen} is impossible; {least} to {MAX_FEN} fen are accepted"),
    ))
}

fn party(cycle: &Cycle, field: &str, organisation: &OrganisationId) -> Result<(), Refusal> {
    match cycle.facts.party_role(organisation.as_str()) {
        Some(_) => Ok(()),
        None => Err(not_a_party(field, organisation)),
    }
}

/// Returns the refusal of an organisation that is not a party to the cycle.
pub(super) fn not_a_party(field: &str, organisation: &OrganisationId) -> Refusal {
    Refusal::invalid(
        "not-a-party",
        format!("{field} {organisation} 不是本轮次的当事方;应为受托单位、托管学校或成员"),
        format!("{field} {organisation} is no party to this cycle; name its trustee, its school or a member"),
    )
}
