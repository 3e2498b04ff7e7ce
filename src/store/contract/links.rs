//! Links, codes, tickets.

use tokio::task::JoinSet;

use super::{Bench, alice, bob, session_id};
use crate::store::{
    AddressTry, CodeRedeemed, LinkFilter, LinkState, MadeBy, NewLink, NewTicket, Redeemed, Redeemer,
    SessionFilter, StoreError, Which,
};

pub(in crate::store) async fn of_a_thousand_who_redeem_one_link_at_once_exactly_one_wins(bench: Bench) {
    let other = bench.another();
    bench.store.put_link(bench.link(1), None).await.unwrap();
    let mut tasks = JoinSet::new();
    for number in 0..1_000 {
        let store = if number % 2 == 0 { bench.store.clone() } else { other.clone() };
        let by = bench.redeemer(number);
        tasks.spawn(async move { store.redeem([1; 32], by).await.unwrap() });
    }
    let (mut won, mut used) = (Vec::new(), 0);
    while let Some(outcome) = tasks.join_next().await {
        match outcome.unwrap() {
            Redeemed::Redeemed(link) => won.push(link.session.unwrap()),
            Redeemed::Used(_) => used += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((won.len(), used), (1, 999));
    let link = bench.store.peek_link([1; 32]).await.unwrap().unwrap();
    assert_eq!((link.session, link.uses_left), (won.first().copied(), Some(0)));
    assert_eq!(bench.store.list_sessions(SessionFilter::default()).await.unwrap().len(), 1);
}

pub(in crate::store) async fn a_link_of_three_uses_lets_in_three_times_and_one_without_limit_always(
    bench: Bench,
) {
    bench.store.put_link(NewLink { uses: Some(3), ..bench.link(1) }, None).await.unwrap();
    bench.store.put_link(NewLink { uses: None, expires_at: None, ..bench.link(2) }, None).await.unwrap();
    for number in 0..3 {
        let outcome = bench.store.redeem([1; 32], bench.redeemer(number)).await.unwrap();
        assert!(matches!(outcome, Redeemed::Redeemed(_)));
    }
    assert!(matches!(bench.store.redeem([1; 32], bench.redeemer(9)).await.unwrap(), Redeemed::Used(_)));
    bench.days(400);
    for number in 20..30 {
        let Redeemed::Redeemed(link) = bench.store.redeem([2; 32], bench.redeemer(number)).await.unwrap()
        else {
            panic!("refused")
        };
        assert_eq!((link.uses, link.uses_left, link.session), (None, None, Some(session_id(number))));
    }
}

pub(in crate::store) async fn the_session_that_a_link_made_can_be_had_again_by_that_link_only(bench: Bench) {
    let (one, two) = (bench.signed_in(1).await, bench.signed_in(2).await);
    bench.store.put_link(bench.link(3), None).await.unwrap();
    let again = bench.store.resume([1; 32], one).await.unwrap().unwrap();
    assert_eq!(Some(&again), bench.store.session(one).await.unwrap().as_ref());
    for (hash, id) in
        [([1; 32], two), ([2; 32], one), ([3; 32], one), ([9; 32], one), ([1; 32], session_id(9))]
    {
        assert!(bench.store.resume(hash, id).await.unwrap().is_none());
    }
    // Asking spends nothing and begins nothing.
    assert_eq!(bench.store.peek_link([3; 32]).await.unwrap().unwrap().uses_left, Some(1));
    bench.store.revoke_sessions(Which::Ids(vec![one.to_string()])).await.unwrap();
    assert!(bench.store.resume([1; 32], one).await.unwrap().unwrap().revoked_at.is_some());
    bench.days(31);
    assert!(bench.store.resume([1; 32], two).await.unwrap().is_none());
}

pub(in crate::store) async fn a_link_is_judged_when_it_is_used_and_not_by_a_sweep(bench: Bench) {
    for number in 1..=3 {
        bench.store.put_link(bench.link(number), None).await.unwrap();
    }
    bench.clock.advance(std::time::Duration::from_millis(10 * 60_000 - 1));
    assert!(matches!(bench.store.redeem([1; 32], bench.redeemer(1)).await.unwrap(), Redeemed::Redeemed(_)));
    assert_eq!(
        bench.store.revoke_links(Which::Ids(vec!["link-2".into(), "no such".into()])).await.unwrap(),
        1
    );
    assert!(matches!(bench.store.redeem([2; 32], bench.redeemer(2)).await.unwrap(), Redeemed::Revoked(_)));
    bench.clock.advance(std::time::Duration::from_millis(1));
    assert!(matches!(bench.store.redeem([3; 32], bench.redeemer(3)).await.unwrap(), Redeemed::Expired(_)));
    assert!(matches!(bench.store.redeem([1; 32], bench.redeemer(4)).await.unwrap(), Redeemed::Used(_)));
    assert_eq!(bench.store.redeem([9; 32], bench.redeemer(5)).await.unwrap(), Redeemed::Unknown);
    assert_eq!(bench.store.list_sessions(SessionFilter::default()).await.unwrap().len(), 1);
    for (state, expected) in
        [(LinkState::Used, "link-1"), (LinkState::Revoked, "link-2"), (LinkState::Expired, "link-3")]
    {
        let filter = LinkFilter { state: Some(state), ..LinkFilter::default() };
        let ids: Vec<_> = bench.store.list_links(filter).await.unwrap().into_iter().map(|l| l.id).collect();
        assert_eq!(ids, [expected]);
    }
}

pub(in crate::store) async fn signing_in_ends_the_browsers_old_session_in_the_same_step_and_only_on_its_site(
    bench: Bench,
) {
    let old = bench.signed_in(1).await;
    bench.store.put_link(NewLink { site: "other".into(), ..bench.link(2) }, None).await.unwrap();
    let by = Redeemer { ends: Some(old), ..bench.redeemer(2) };
    bench.store.redeem([2; 32], by).await.unwrap();
    assert!(bench.store.session(old).await.unwrap().unwrap().revoked_at.is_none());
    bench.store.put_link(bench.link(3), None).await.unwrap();
    let before = bench.store.version().await.unwrap();
    bench.store.redeem([3; 32], Redeemer { ends: Some(old), ..bench.redeemer(3) }).await.unwrap();
    assert!(bench.store.session(old).await.unwrap().unwrap().revoked_at.is_some());
    assert_ne!(bench.store.version().await.unwrap(), before);
    let revoked = bench.store.snapshot().await.unwrap().revoked;
    assert_eq!(revoked.into_iter().map(|(id, _)| id).collect::<Vec<_>>(), [old]);
}

pub(in crate::store) async fn five_wrong_addresses_close_a_link_to_typed_ones_but_spend_nothing(
    bench: Bench,
) {
    bench.store.put_link(bench.link(1), None).await.unwrap();
    assert_eq!(bench.store.try_address([1; 32], &alice()).await.unwrap(), AddressTry::Right);
    assert_eq!(bench.store.wrong_address([1; 32]).await.unwrap(), 1);
    for left in (0..4).rev() {
        assert_eq!(bench.store.try_address([1; 32], &bob()).await.unwrap(), AddressTry::Wrong { left });
    }
    assert_eq!(bench.store.try_address([1; 32], &alice()).await.unwrap(), AddressTry::Off);
    assert_eq!(bench.store.try_address([9; 32], &alice()).await.unwrap(), AddressTry::Off);
    assert_eq!(bench.store.wrong_address([9; 32]).await.unwrap(), 5);
    assert!(matches!(bench.store.redeem([1; 32], bench.redeemer(1)).await.unwrap(), Redeemed::Redeemed(_)));
}

pub(in crate::store) async fn a_fresh_letter_is_given_once_and_only_for_a_link_that_is_spent_or_expired(
    bench: Bench,
) {
    for number in 1..=3 {
        bench.store.put_link(bench.link(number), None).await.unwrap();
    }
    assert!(bench.store.again_once([1; 32]).await.unwrap().is_none());
    bench.store.redeem([1; 32], bench.redeemer(1)).await.unwrap();
    assert!(bench.store.again_once([1; 32]).await.unwrap().unwrap().again_used);
    assert!(bench.store.again_once([1; 32]).await.unwrap().is_none());
    bench.store.revoke_links(Which::Ids(vec!["link-2".into()])).await.unwrap();
    bench.minutes(10);
    assert!(bench.store.again_once([2; 32]).await.unwrap().is_none());
    assert_eq!(bench.store.again_once([3; 32]).await.unwrap().unwrap().email, alice());
}

pub(in crate::store) async fn a_browser_finds_the_link_it_asked_for_last(bench: Bench) {
    bench.store.put_link(bench.link(1), None).await.unwrap();
    bench.store.put_link(bench.link(2), None).await.unwrap();
    let by_hand = NewLink { made_by: MadeBy::Administrator, ..bench.link(3) };
    bench.store.put_link(by_hand, None).await.unwrap();
    assert_eq!(bench.store.asked("wiki", [100; 32]).await.unwrap().unwrap().id, "link-2");
    assert!(bench.store.asked("other", [100; 32]).await.unwrap().is_none());
    assert!(bench.store.asked("wiki", [101; 32]).await.unwrap().is_none());
}

pub(in crate::store) async fn one_refused_command_undoes_nothing_of_its_neighbours(bench: Bench) {
    let mut tasks = JoinSet::new();
    for number in 0..60_u8 {
        let store = bench.store.clone();
        // Every third bears a name that is taken.
        let id = if number % 3 == 0 { "same".to_owned() } else { format!("link-{number}") };
        let link = NewLink { id, ..bench.link(number) };
        let letter = bench.letter(&format!("letter-{number}"));
        tasks.spawn(async move { store.put_link(link, Some(letter)).await });
    }
    let (mut put, mut refused) = (0, 0);
    while let Some(outcome) = tasks.join_next().await {
        match outcome.unwrap() {
            Ok(()) => put += 1,
            Err(StoreError::Invalid(_)) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((put, refused), (41, 19));
    assert_eq!(bench.store.list_links(LinkFilter::default()).await.unwrap().len(), 41);
    assert_eq!(bench.store.list_letters().await.unwrap().len(), 41);
}

pub(in crate::store) async fn a_code_lets_in_once_in_the_browser_that_asked(bench: Bench) {
    bench.store.put_link(bench.link_with_code(1, 7), None).await.unwrap();
    bench.store.put_link(bench.link_with_code(2, 7), None).await.unwrap();
    assert_eq!(bench.store.live_code("wiki", [100; 32], &alice()).await.unwrap(), Some([7; 8]));
    assert_eq!(bench.store.live_code("wiki", [100; 32], &bob()).await.unwrap(), None);
    let code = |site: &'static str, nonce: u8, tag: u8| {
        let by = bench.redeemer(u16::from(nonce) * 256 + u16::from(tag));
        let store = bench.store.clone();
        async move { store.redeem_code(site, [nonce; 32], [tag; 32], by).await.unwrap() }
    };
    assert_eq!(code("wiki", 101, 7).await, CodeRedeemed::None);
    assert_eq!(code("other", 100, 7).await, CodeRedeemed::None);
    assert_eq!(code("wiki", 100, 8).await, CodeRedeemed::Wrong { left: 4 });
    let CodeRedeemed::Redeemed(link) = code("wiki", 100, 7).await else { panic!("refused") };
    assert_eq!((link.id.as_str(), link.uses_left), ("link-2", Some(0)));
    // The earlier letter carried the same code, and its link still works: asking again voids no link.
    assert_eq!(code("wiki", 100, 7).await, CodeRedeemed::None);
    assert_eq!(bench.store.live_code("wiki", [100; 32], &alice()).await.unwrap(), None);
    assert!(matches!(bench.store.redeem([1; 32], bench.redeemer(50)).await.unwrap(), Redeemed::Redeemed(_)));
}

pub(in crate::store) async fn a_code_is_void_when_its_link_was_used_revoked_or_is_past(bench: Bench) {
    for number in 1..=3 {
        let link = NewLink { nonce_hash: Some([number; 32]), ..bench.link_with_code(number, number) };
        bench.store.put_link(link, None).await.unwrap();
    }
    bench.store.redeem([1; 32], bench.redeemer(1)).await.unwrap();
    bench.store.revoke_links(Which::Ids(vec!["link-2".into()])).await.unwrap();
    for number in 1..=2 {
        let outcome = bench.store.redeem_code("wiki", [number; 32], [number; 32], bench.redeemer(9)).await;
        assert_eq!(outcome.unwrap(), CodeRedeemed::None);
    }
    bench.minutes(10);
    let outcome = bench.store.redeem_code("wiki", [3; 32], [3; 32], bench.redeemer(9)).await;
    assert_eq!(outcome.unwrap(), CodeRedeemed::None);
}

pub(in crate::store) async fn a_hundred_guesses_at_once_are_five_and_another_letter_brings_none_back(
    bench: Bench,
) {
    bench.store.put_link(bench.link_with_code(1, 7), None).await.unwrap();
    let mut tasks = JoinSet::new();
    for guess in 100..200_u8 {
        let (store, by) = (bench.store.clone(), bench.redeemer(u16::from(guess)));
        tasks.spawn(async move { store.redeem_code("wiki", [100; 32], [guess; 32], by).await.unwrap() });
    }
    let outcomes = tasks.join_all().await;
    assert_eq!(outcomes.iter().filter(|o| matches!(o, CodeRedeemed::Wrong { .. })).count(), 5);
    assert_eq!(outcomes.iter().filter(|o| **o == CodeRedeemed::Off).count(), 95);
    bench.store.put_link(bench.link_with_code(2, 7), None).await.unwrap();
    assert_eq!(bench.store.live_code("wiki", [100; 32], &alice()).await.unwrap(), None);
    let right = bench.store.redeem_code("wiki", [100; 32], [7; 32], bench.redeemer(1)).await.unwrap();
    assert_eq!(right, CodeRedeemed::Off);
    assert!(matches!(bench.store.redeem([2; 32], bench.redeemer(2)).await.unwrap(), Redeemed::Redeemed(_)));
}

pub(in crate::store) async fn twenty_wrong_codes_a_day_turn_an_addresss_codes_off_and_never_its_links(
    bench: Bench,
) {
    for seed in 1..=5_u8 {
        let link = NewLink { nonce_hash: Some([seed; 32]), ..bench.link_with_code(seed, seed) };
        bench.store.put_link(link, None).await.unwrap();
    }
    for seed in 1..=4_u8 {
        for _ in 0..5 {
            let wrong =
                bench.store.redeem_code("wiki", [seed; 32], [99; 32], bench.redeemer(1)).await.unwrap();
            assert!(matches!(wrong, CodeRedeemed::Wrong { .. }));
        }
    }
    let right = bench.store.redeem_code("wiki", [5; 32], [5; 32], bench.redeemer(1)).await.unwrap();
    assert_eq!(right, CodeRedeemed::Off);
    assert!(matches!(bench.store.redeem([4; 32], bench.redeemer(2)).await.unwrap(), Redeemed::Redeemed(_)));
    bench.days(1);
    let link = NewLink { nonce_hash: Some([6; 32]), ..bench.link_with_code(6, 6) };
    bench.store.put_link(link, None).await.unwrap();
    let right = bench.store.redeem_code("wiki", [6; 32], [6; 32], bench.redeemer(3)).await.unwrap();
    assert!(matches!(right, CodeRedeemed::Redeemed(_)));
}

pub(in crate::store) async fn a_ticket_is_taken_once_in_time_by_its_browser_at_its_origin_while_the_session_lives(
    bench: Bench,
) {
    let session = bench.signed_in(1).await;
    let put = |number: u8| NewTicket {
        ticket_hash: [number; 32],
        session,
        origin: "https://photos.example.com".to_owned(),
        nonce_hash: [1; 32],
        return_to: "/album".to_owned(),
        expires_at: bench.clock.now() + std::time::Duration::from_secs(30),
    };
    let take = async |number: u8, nonce: u8, origin: &str| {
        bench.store.take_ticket([number; 32], [nonce; 32], origin).await.unwrap()
    };
    let home = "https://photos.example.com";
    for number in 1..=5 {
        bench.store.put_ticket(put(number)).await.unwrap();
    }
    let taken = take(1, 1, home).await.unwrap();
    assert_eq!((taken.session, taken.return_to.as_str()), (session, "/album"));
    assert!(take(1, 1, home).await.is_none());
    assert!(take(2, 9, home).await.is_none());
    assert!(take(2, 1, home).await.is_none(), "whoever showed it, it is gone");
    assert!(take(3, 1, "https://evil.example.com").await.is_none());
    bench.clock.advance(std::time::Duration::from_secs(30));
    assert!(take(4, 1, home).await.is_none());
    bench.store.put_ticket(put(6)).await.unwrap();
    bench.store.revoke_sessions(Which::Ids(vec![session.to_string()])).await.unwrap();
    assert!(take(6, 1, home).await.is_none());
}
