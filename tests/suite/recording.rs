//! Commands through the whole path, on both stores: decide, commit, project, read.

use std::sync::Arc;

use serde_json::json;
use weituo::follower::Follower;
use weituo::query::{AsOf, Query};
use weituo::recorder::{RecordError, Recorder};
use weituo::store::{KeyRange, LedgerUrl, ProjectionChange, ProjectionRow, Store, Which};
use weituo_projections::PROJECTIONS;

use crate::support::commands::{CYCLES, by, by_bureau, new_recorder, record_lines, refusal_code, told};
use crate::support::ledger::{Kind, Place, on_both_stores};
use crate::support::postgres::connect;

const PIN: &str = "wenzhou-entrustment-2018";

/// Registers `count` schools and brings an agreement of each with `trustee-z` up to the signing.
async fn prepare_signings(recorder: &Recorder, count: usize) {
    let trustee = json!({ "name": "受托学校", "kind": "public_school", "superior": "bureau-wz" });
    let trustee = by_bureau("RegisterOrganisation", "organisation/trustee-z", "2018-12-21", trustee);
    recorder.record(&trustee).await.unwrap();
    for number in 0..count {
        let school = format!("school-z{number}");
        let payload =
            json!({ "name": format!("学校{number}"), "kind": "public_school", "superior": "bureau-wz" });
        let stream = format!("organisation/{school}");
        recorder.record(&by_bureau("RegisterOrganisation", &stream, "2018-12-21", payload)).await.unwrap();
        let agreement = format!("agreement/Z-{number}");
        let pin = json!({ "id": PIN, "version": 1 });
        let parties = json!({ "rulebook": pin, "school": school, "trustee": "trustee-z" });
        recorder.record(&by_bureau("DesignateParties", &agreement, "2019-05-06", parties)).await.unwrap();
        let consent = by("bureau-wz", "superior", "GrantConsent", &agreement, "2019-05-20", json!({}));
        recorder.record(&consent).await.unwrap_or_else(|error| panic!("{}", told(&error)));
    }
}

fn signing(number: usize) -> weituo_events::Command {
    let school = format!("school-z{number}");
    let payload = json!({
        "countersigned": [{ "organisation": school }, { "organisation": "trustee-z" }],
        "fee_fen": 150_000_000,
        "form": "team",
        "rulebook": { "id": PIN, "version": 1 },
        "school": school,
        "term_start": "2019-09-01",
        "trustee": "trustee-z",
    });
    by_bureau("SignAgreement", &format!("agreement/Z-{number}"), "2019-06-28", payload)
}

/// Returns every row of every projection that readers see.
async fn projected(store: &dyn Store) -> Vec<(String, ProjectionRow)> {
    let mut all = Vec::new();
    for (name, _) in PROJECTIONS {
        let range = KeyRange { prefix: "", after: "", limit: 1_000_000 };
        let rows = store.projection_rows(name, Which::Active, range).await.unwrap();
        all.extend(rows.into_iter().map(|row| ((*name).to_owned(), row)));
    }
    all
}

on_both_stores! {
    async fn of_64_racing_signings_for_one_trustee_one_is_accepted(place: Place) {
        let first = Arc::new(new_recorder(&place).await);
        prepare_signings(&first, 64).await;
        let second = Arc::new(Recorder::open(place.open().await).await.unwrap());
        let racing: Vec<_> = (0..64)
            .map(|number| {
                let recorder = Arc::clone(if number % 2 == 0 { &first } else { &second });
                tokio::spawn(async move { recorder.record(&signing(number)).await })
            })
            .collect();
        let mut accepted = 0;
        for outcome in racing {
            match outcome.await.unwrap() {
                Ok(recording) => accepted += usize::from(!recording.accepted.repeated),
                Err(error) => assert_eq!(refusal_code(&error), "one-school-per-trustee"),
            }
        }
        assert_eq!(accepted, 1);
        first.ledger().stop().await.unwrap();
        second.ledger().stop().await.unwrap();
    }

    async fn a_repeated_command_gets_the_first_receipt_even_when_it_would_now_be_refused(place: Place) {
        let recorder = new_recorder(&place).await;
        prepare_signings(&recorder, 1).await;
        let command = signing(0);
        let first = recorder.record(&command).await.unwrap();
        let again = recorder.record(&command).await.unwrap();
        assert!(again.accepted.repeated);
        assert_eq!(again.accepted.receipt.leaf_index, first.accepted.receipt.leaf_index);
        let mut other = signing(0);
        other.command = command.command.clone();
        other.effective = "2019-06-29".parse().unwrap();
        assert!(matches!(recorder.record(&other).await, Err(RecordError::Ledger(_))));
        recorder.ledger().stop().await.unwrap();
    }

    async fn what_another_process_recorded_is_seen_by_the_next_decision(place: Place) {
        let first = new_recorder(&place).await;
        prepare_signings(&first, 1).await;
        let second = Recorder::open(place.open().await).await.unwrap();
        second.record(&signing(0)).await.unwrap();
        let error = first.record(&signing(0)).await.unwrap_err();
        assert_eq!(refusal_code(&error), "said-already");
        first.ledger().stop().await.unwrap();
        second.ledger().stop().await.unwrap();
    }

    async fn projections_folded_in_any_steps_are_those_of_a_rebuild(place: Place) {
        let recorder = new_recorder(&place).await;
        let store = Arc::clone(recorder.ledger().store());
        let follower = Follower::new(Arc::clone(&store));
        for (_, lines) in CYCLES {
            record_lines(&recorder, lines).await;
            follower.catch_up(|_| ()).await.unwrap();
        }
        let stepwise = projected(&*store).await;
        assert!(stepwise.len() > 30);
        Follower::new(Arc::clone(&store)).rebuild(None, |_| ()).await.unwrap();
        assert_eq!(projected(&*store).await, stepwise);
        Follower::new(Arc::clone(&store)).rebuild(Some("docket"), |_| ()).await.unwrap();
        assert_eq!(projected(&*store).await, stepwise);
        follower.catch_up(|_| ()).await.unwrap();
        assert_eq!(projected(&*store).await, stepwise);
        recorder.ledger().stop().await.unwrap();
    }

    async fn what_was_planted_in_a_rebuild_that_broke_off_is_not_published(place: Place) {
        let recorder = new_recorder(&place).await;
        for (_, lines) in CYCLES {
            record_lines(&recorder, lines).await;
        }
        let store = Arc::clone(recorder.ledger().store());
        let follower = Follower::new(Arc::clone(&store));
        follower.catch_up(|_| ()).await.unwrap();
        let right = projected(&*store).await;
        let size = store.head().await.unwrap().unwrap().size;
        let cycles: Vec<usize> = (0..right.len()).filter(|at| right[*at].0 == "cycle").collect();
        let mut swapped = right.clone();
        swapped[cycles[0]].1.body.clone_from(&right[cycles[1]].1.body);
        // The last of all keys, so that nothing would be left to build behind it.
        let planted = ProjectionRow { key: "zz".to_owned(), body: right[0].1.body.clone() };
        let nameless = ProjectionRow { key: String::new(), ..planted.clone() };
        let in_rulebooks = |row| vec![("rulebook".to_owned(), row)];
        for written in [in_rulebooks(planted), in_rulebooks(nameless), swapped, right.clone()] {
            for (name, version) in PROJECTIONS {
                let rows = written.iter().filter(|(projection, _)| projection == name);
                let change = ProjectionChange {
                    name: (*name).to_owned(),
                    generation: store.start_generation(name, i64::from(*version)).await.unwrap(),
                    expected_next_leaf: 0,
                    next_leaf: size,
                    puts: rows.map(|(_, row)| row.clone()).collect(),
                    deletes: Vec::new(),
likely_new: false,
                };
                store.apply_projections(&[change]).await.unwrap();
            }
            follower.rebuild(None, |_| ()).await.unwrap();
            assert_eq!(projected(&*store).await, right);
        }
        recorder.ledger().stop().await.unwrap();
    }

    async fn followers_side_by_side_build_the_projections_together(place: Place) {
        let recorder = new_recorder(&place).await;
        for (_, lines) in CYCLES {
            record_lines(&recorder, lines).await;
        }
        let store = Arc::clone(recorder.ledger().store());
        let building: Vec<_> = (0..6)
            .map(|_| {
                let follower = Follower::new(Arc::clone(&store));
                tokio::spawn(async move { follower.catch_up(|_| ()).await })
            })
            .collect();
        for one in building {
            one.await.unwrap().unwrap_or_else(|error| panic!("{}", told(&error)));
        }
        let together = projected(&*store).await;
        Follower::new(Arc::clone(&store)).rebuild(None, |_| ()).await.unwrap();
        assert_eq!(projected(&*store).await, together);
        recorder.ledger().stop().await.unwrap();
    }

    async fn readers_see_whole_projections_while_they_are_rebuilt(place: Place) {
        let recorder = new_recorder(&place).await;
        for (_, lines) in CYCLES {
            record_lines(&recorder, lines).await;
        }
        let store = Arc::clone(recorder.ledger().store());
        Follower::new(Arc::clone(&store)).catch_up(|_| ()).await.unwrap();
        let before = projected(&*store).await;
        let rebuild = {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for _ in 0..5 {
                    Follower::new(Arc::clone(&store)).rebuild(None, |_| ()).await.unwrap();
                }
            })
        };
        while !rebuild.is_finished() {
            for (name, _) in PROJECTIONS {
                let range = KeyRange { prefix: "", after: "", limit: 1_000_000 };
                let rows = store.projection_rows(name, Which::Active, range).await.unwrap();
                let expected = before.iter().filter(|(projection, _)| projection == name).count();
                assert_eq!(rows.len(), expected, "{name}");
            }
        }
        rebuild.await.unwrap();
        recorder.ledger().stop().await.unwrap();
    }

    async fn a_cycle_is_shown_as_of_a_day_and_as_of_a_log_size(place: Place) {
        let recorder = new_recorder(&place).await;
        let recordings = record_lines(&recorder, CYCLES[0].1).await;
        let store = Arc::clone(recorder.ledger().store());
        Follower::new(Arc::clone(&store)).catch_up(|_| ()).await.unwrap();
        let query = Query::open(store).await.unwrap();
        let id = query.agreements().await.unwrap().remove(0);
        let today = weituo::today();
        let now = query.cycle(&id, AsOf::Day(today)).await.unwrap().unwrap();
        let size = recordings[1].accepted.receipt.leaf_index.get() + 1;
        let then = query.cycle(&id, AsOf::Size(size, today)).await.unwrap().unwrap();
        assert_eq!(then.timeline.len(), 2);
        assert!(now.timeline.len() > 10);
        let early = query.cycle(&id, AsOf::Day("2019-07-15".parse().unwrap())).await.unwrap().unwrap();
        assert!(early.timeline.len() < now.timeline.len());
        assert!(early.timeline.iter().all(|one| one.effective.to_string().as_str() <= "2019-07-15"));
        assert_ne!(early.state, now.state);
        recorder.ledger().stop().await.unwrap();
    }
    async fn what_is_recorded_late_in_a_run_just_before_an_evaluation_is_shown_on_it(place: Place) {
        let recorder = new_recorder(&place).await;
        let lines: Vec<&str> = CYCLES[0].1.lines().collect();
        let (first, then) = lines.split_at(14);
        record_lines(&recorder, &first.join("\n")).await;
        // Forty days pass before the first year's supervision: the entries ahead of it are late and no run before it.
        place.clock.pass(40 * 86_400_000);
        record_lines(&recorder, &then.join("\n")).await;
        recorder.ledger().stop().await.unwrap();
        let shown = |arguments: &[&str]| {
            let mut weituo = std::process::Command::new(env!("CARGO_BIN_EXE_weituo"));
            let weituo = weituo.env("WEITUO_LEDGER", place.address()).args(["show", "agreement", "WZ-2022-001"]);
            let ran = weituo.args(arguments).output().unwrap();
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
            String::from_utf8(ran.stdout).unwrap()
        };
        let view: serde_json::Value = serde_json::from_str(&shown(&["--json"])).unwrap();
        let found = view["irregularities"].as_array().unwrap().iter();
        let runs = found.filter(|found| found["rule"] == "late-before-evaluation");
        let on: Vec<_> = runs.map(|found| found["sequence"].as_u64().unwrap()).collect();
        // The mid-term review, the third year's supervision and the panel, each after entries of its own.
        assert_eq!(on, [23, 35, 41]);
        assert!(shown(&["--lang", "zh"]).contains("评估前集中逾期存证"));
        assert!(shown(&["--lang", "en"]).contains("Late records just before an evaluation"));
    }
}

#[tokio::test]
async fn long_rows_of_projections_are_compressed_with_lz4_where_the_server_has_it() {
    let place = Place::new(Kind::Postgres).await;
    // Whatever the server was told.
    let database = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_toast_compression = pglz', current_database());
        EXCEPTION WHEN undefined_object THEN NULL; END $$";
    place.tamper(database).await;
    let recorder = new_recorder(&place).await;
    record_lines(&recorder, CYCLES[0].1).await;
    Follower::new(Arc::clone(recorder.ledger().store())).catch_up(|_| ()).await.unwrap();
    recorder.ledger().stop().await.unwrap();
    let LedgerUrl::Postgres(url) = &place.url else { panic!("PostgreSQL") };
    let mut connection = connect(url).await;
    let sql = "SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'";
    let has_lz4: Option<bool> = sqlx::query_scalar(sql).fetch_optional(&mut connection).await.unwrap();
    // Before PostgreSQL 14 there is no choice.
    let Some(has_lz4) = has_lz4 else { return };
    let sql = "SELECT pg_column_compression(body) FROM projection_row WHERE projection = 'cycle'";
    let method: String = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
    assert_eq!(method, if has_lz4 { "lz4" } else { "pglz" });
}
