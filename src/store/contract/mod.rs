//! What the contract promises, as cases that every backend is put through: each takes a bench, a fresh and empty store of
//! some kind, and a clock to move. Knows no kind itself.

pub(super) mod letters;
pub(super) mod limits;
pub(super) mod links;
pub(super) mod people;
pub(super) mod transfer;

use std::any::Any;
use std::time::Duration;

use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::SessionId;
use crate::random::Random;
use crate::store::{Generations, MadeBy, NewLetter, NewLink, Redeemer, Settings, Store};

/// Hands every case, as `room::case`, to a macro of the kind that is to be tried, behind its other arguments.
macro_rules! every_case {
    ($each:ident!($($first:tt)*)) => {
        $each! { $($first)*
            links::of_a_thousand_who_redeem_one_link_at_once_exactly_one_wins,
            links::a_link_of_three_uses_lets_in_three_times_and_one_without_limit_always,
            links::the_session_that_a_link_made_can_be_had_again_by_that_link_only,
            links::a_link_is_judged_when_it_is_used_and_not_by_a_sweep,
            links::signing_in_ends_the_browsers_old_session_in_the_same_step_and_only_on_its_site,
            links::five_wrong_addresses_close_a_link_to_typed_ones_but_spend_nothing,
            links::a_fresh_letter_is_given_once_and_only_for_a_link_that_is_spent_or_expired,
            links::a_browser_finds_the_link_it_asked_for_last,
            links::one_refused_command_undoes_nothing_of_its_neighbours,
            links::a_code_lets_in_once_in_the_browser_that_asked,
            links::a_code_is_void_when_its_link_was_used_revoked_or_is_past,
            links::a_hundred_guesses_at_once_are_five_and_another_letter_brings_none_back,
            links::twenty_wrong_codes_a_day_turn_an_addresss_codes_off_and_never_its_links,
            links::a_ticket_is_taken_once_in_time_by_its_browser_at_its_origin_while_the_session_lives,
            letters::a_letter_rings_and_is_leased_by_one_sender_until_the_lease_runs_out,
            letters::a_failed_letter_comes_again_and_a_dead_one_when_it_is_called,
            letters::a_letter_that_came_too_late_is_erased_and_cannot_be_called_back,
            letters::a_delivered_letter_is_listed_for_seven_days,
            letters::a_letter_of_a_revoked_link_is_not_sent,
            letters::the_audit_log_finds_by_request_person_and_time_and_can_be_followed,
            limits::five_go_at_once_and_then_one_in_each_fifth_of_the_time,
            limits::a_quota_of_none_lets_nobody_and_a_span_of_zero_everybody,
            people::a_person_comes_back_as_they_were_put_and_each_site_has_its_own,
            people::removal_and_switching_off_raise_the_generation_and_it_never_falls,
            people::a_revoked_session_is_remembered_until_its_absolute_end,
            people::a_session_that_nobody_has_a_record_of_is_refused_by_its_id_until_it_must_have_ended,
            people::a_session_is_of_the_generation_of_whoever_the_code_was_for_and_can_be_ended,
            people::a_renewal_moves_the_idle_end_forward_only_and_wakes_nobody_up,
            people::what_one_process_changes_another_sees_by_the_version,
            people::a_key_rotation_keeps_the_old_epoch_until_its_end,
            people::who_missed_a_key_rotation_and_a_sweep_believes_the_old_key_no_more,
            people::a_key_rotation_at_once_ends_everything,
            transfer::what_comes_out_of_a_store_goes_into_another_and_comes_out_the_same,
            transfer::a_store_that_was_lived_in_can_be_left,
            transfer::links_and_codes_that_moved_are_as_good_as_before_and_no_better,
            transfer::what_a_store_refuses_it_refuses_after_an_import_as_well,
            transfer::an_import_is_all_or_nothing_and_never_mixes_two_stores,
        }
    };
}
pub(super) use every_case;

/// A store in a place of its own, and a clock to move.
pub(super) struct Bench {
    settings: Settings,
    pub(super) clock: Clock,
    pub(super) store: Store,
    /// The folder or the server that must live as long.
    _place: Box<dyn Any + Send + Sync>,
}

impl Bench {
    pub(super) fn of(settings: Settings, place: impl Any + Send + Sync) -> Self {
        let clock = Clock::manual(Timestamp::from_seconds(1_700_000_000));
        let store = Store::open(&settings, &clock, &Random::system()).unwrap();
        Self { settings, clock, store, _place: Box::new(place) }
    }

    /// Another handle on the same place, as another process has.
    pub(super) fn another(&self) -> Store {
        Store::open(&self.settings, &self.clock, &Random::system()).unwrap()
    }

    pub(super) fn minutes(&self, minutes: u64) {
        self.clock.advance(Duration::from_mins(minutes));
    }

    pub(super) fn days(&self, days: u64) {
        self.clock.advance(Duration::from_hours(days * 24));
    }

    pub(super) fn in_minutes(&self, minutes: u64) -> Timestamp {
        self.clock.now() + Duration::from_mins(minutes)
    }

    /// A link of ten minutes and one use.
    pub(super) fn link(&self, number: u8) -> NewLink {
        NewLink {
            id: format!("link-{number}"),
            token_hash: [number; 32],
            site: "wiki".to_owned(),
            email: alice(),
            nonce_hash: Some([100; 32]),
            code_tag: None,
            code_seed: None,
            return_to: "/page".to_owned(),
            expires_at: Some(self.in_minutes(10)),
            uses: Some(1),
            made_by: MadeBy::Asked,
            note: String::new(),
        }
    }

    /// A link whose letter carries a code as well.
    pub(super) fn link_with_code(&self, number: u8, seed: u8) -> NewLink {
        NewLink { code_tag: Some([seed; 32]), code_seed: Some([seed; 8]), ..self.link(number) }
    }

    pub(super) fn letter(&self, id: &str) -> NewLetter {
        NewLetter {
            id: id.to_owned(),
            site: "wiki".to_owned(),
            email: alice(),
            sealed: b"sealed-letter-body".to_vec(),
            expires_at: Some(self.in_minutes(10)),
        }
    }

    /// A session of thirty days.
    pub(super) fn redeemer(&self, session: u16) -> Redeemer {
        Redeemer {
            session: session_id(session),
            generations: Generations::new(|_| 0),
            ends_at: self.in_minutes(30 * 24 * 60),
            idle_until: self.in_minutes(7 * 24 * 60),
            device: "Firefox".to_owned(),
            client: "192.0.2.1".to_owned(),
            ends: None,
        }
    }

    /// Signs Alice in and gives her session's id.
    pub(super) async fn signed_in(&self, number: u8) -> SessionId {
        self.store.put_link(self.link(number), None).await.unwrap();
        let redeemer = self.redeemer(u16::from(number));
        self.store.redeem([number; 32], redeemer.clone()).await.unwrap();
        redeemer.session
    }
}

pub(super) fn alice() -> EmailAddress {
    EmailAddress::parse("alice@example.com").unwrap()
}

pub(super) fn bob() -> EmailAddress {
    EmailAddress::parse("bob@example.com").unwrap()
}

pub(super) fn session_id(number: u16) -> SessionId {
    let [high, low] = number.to_be_bytes();
    SessionId::from_bytes([high, low, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1])
}
