//! What a cycle's records say of its money and its end.

use weituo_events::{Event, OrganisationId};

use super::super::parts::{At, Evaluation, Honour, Judgement, Seat, Termination};
use super::super::{Record, paper};
use super::Facts;

impl Facts {
    pub(super) fn take_money(&mut self, record: &Record) {
        let money = &mut self.money;
        let add = |sum: &mut i64, amount: i64| *sum = sum.saturating_add(amount);
        match &record.event {
            Event::FundsBudgeted(payload) => add(&mut money.budgeted_fen, payload.amount_fen),
            Event::ServiceAccepted(payload) => add(&mut money.accepted_fen, payload.amount_fen),
            Event::FundsDisbursed(payload) => add(&mut money.paid_fen, payload.amount_fen),
            Event::FundsRecovered(payload) => add(&mut money.recovered_fen, payload.amount_fen),
            Event::PrizeAwarded(payload) => add(&mut money.prizes_fen, payload.amount_fen),
            Event::FundsSettled(payload) => money.settled_fen = Some(payload.amount_fen),
            _ => {}
        }
    }

    pub(super) fn take_ending(&mut self, record: &Record) {
        let at = || At { effective: record.effective.clone(), sequence: record.sequence };
        match &record.event {
            Event::SelfEvaluationSubmitted(payload) => {
                let (grade, score_centi) = (payload.grade, payload.score_centi);
                let judgement = Judgement { at: at(), grade, results: Vec::new(), score_centi };
                self.self_evaluations.entry(record.role.clone()).or_insert(judgement);
            }
            Event::PanelConvened(payload) => {
                self.panel = payload
                    .members
                    .iter()
                    .map(|member| Seat {
                        convener: member.convener,
                        employer: member.employer.clone(),
                        expert: member.expert.clone(),
                        recused: None,
                    })
                    .collect();
            }
            Event::RecusalDeclared(payload) => {
                for seat in self.panel.iter_mut().filter(|seat| seat.expert == payload.expert) {
                    seat.recused.get_or_insert(record.sequence);
                }
            }
            Event::EndOfTermEvaluationRecorded(payload) if self.evaluation.is_none() => {
                self.evaluation = Some(Evaluation {
                    at: at(),
                    grade: payload.grade,
                    satisfaction_centi: payload.satisfaction_centi,
                    school_gain_centi: payload.school_gain_centi,
                    score_centi: payload.score_centi,
                    trustee_effort_centi: payload.trustee_effort_centi,
                    vetoes: payload.vetoes.clone(),
                });
            }
            Event::ResultPublicised(payload) => self.publicised = Some((payload.from, payload.until)),
            Event::CommendationAwarded(payload) | Event::PraiseCirculated(payload) => {
                self.honour(record, &payload.recipient);
            }
            Event::PrizeAwarded(payload) => self.honour(record, &payload.recipient),
            Event::AgreementTerminated(payload) if self.termination.is_none() => {
                self.termination = Some(Termination { at: at(), grounds: payload.grounds });
            }
            Event::RenewalDecided(payload) => self.renewal = Some(payload.renew),
            Event::HandoverCompleted(_) => {
                self.handed_over_by.entry(record.role.clone()).or_insert_with(at);
            }
            Event::CycleClosed(_) => {
                self.closed.get_or_insert_with(at);
            }
            _ => {}
        }
    }

    fn honour(&mut self, record: &Record, recipient: &OrganisationId) {
        self.honours.push(Honour {
            at: At { effective: record.effective.clone(), sequence: record.sequence },
            document: paper(&record.event).and_then(|paper| paper.document.clone()),
            kind: record.event_type(),
            recipient: recipient.clone(),
        });
    }
}
