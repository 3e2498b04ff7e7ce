//! What the parts of a request cost, one by one, without sockets: `bench/micro.sh` runs this and writes bench/MICRO.md.

mod house;

use std::cell::Cell;

use divan::Bencher;
use divan::black_box;
use house::Ask;
use house::House;
use house::REQUESTS;
use house::SMALL;
use house::Size;
use linkgate::policy::Target;

fn main() {
    divan::main();
}

/// The requests in turn.
fn next<'a>(house: &'a House, turn: &Cell<usize>) -> &'a Ask {
    let number = turn.get();
    turn.set((number + 1) % REQUESTS);
    &house.asks[number]
}

fn each(bencher: Bencher<'_, '_>, size: Size, work: impl Fn(&House, &Ask)) {
    let (house, turn) = (House::build(size), Cell::new(0));
    bencher.bench_local(|| work(&house, next(&house, &turn)));
}

#[divan::bench]
fn target_parse(bencher: Bencher<'_, '_>) {
    each(bencher, SMALL, |_, ask| {
        black_box(Target::parse(true, black_box(&ask.authority), black_box(&ask.path)).unwrap());
    });
}

#[divan::bench(args = [1, 10, 1_000, 10_000])]
fn decide_routes(bencher: Bencher<'_, '_>, routes: usize) {
    let house = House::build(Size { routes, ..SMALL });
    let parsed = |ask: &Ask| Target::parse(true, &ask.authority, &ask.path).unwrap();
    let targets: Vec<Target> = house.asks.iter().map(parsed).collect();
    let turn = Cell::new(0);
    bencher.bench_local(|| {
        let number = turn.get();
        turn.set((number + 1) % REQUESTS);
        house.decide(&house.asks[number], &targets[number])
    });
}

#[divan::bench(args = [1, 1_000])]
fn judge_sites(bencher: Bencher<'_, '_>, sites: usize) {
    each(bencher, Size { sites, ..SMALL }, |house, ask| {
        black_box(house.judge(ask));
    });
}

#[divan::bench(args = [10, 1_000_000])]
fn session_known_revoked(bencher: Bencher<'_, '_>, revoked: u64) {
    each(bencher, Size { revoked, ..SMALL }, |house, ask| {
        assert!(house.desk.session(&ask.authority, &ask.head.headers));
    });
}

#[divan::bench(args = [10, 1_000_000])]
fn session_new_revoked(bencher: Bencher<'_, '_>, revoked: u64) {
    each(bencher, Size { revoked, ..SMALL }, |house, ask| {
        assert!(house.desk.session_anew(&ask.authority, &ask.head.headers));
    });
}

#[divan::bench]
fn header_rules(bencher: Bencher<'_, '_>) {
    let (house, turn) = (House::build(SMALL), Cell::new(0));
    bencher
        .with_inputs(|| {
            let ask = next(&house, &turn);
            (house.desk.ready(&ask.authority, &ask.head).unwrap(), ask.head.clone())
        })
        .bench_local_values(|(ready, head)| house.desk.header_rules(&ready, &head));
}

#[divan::bench]
fn whole_check(bencher: Bencher<'_, '_>) {
    each(bencher, SMALL, |house, ask| assert_eq!(house.desk.check(&ask.check), 200));
}
