//! Whether a request costs the same whatever there is beside it: one route or ten thousand, ten ended sessions or a
//! million, one site or a thousand. Sizes take turns in short rounds, so that what else runs on the machine meets them
//! alike; medians of all rounds, and the ratio to the smallest. Ends with 1 when a whole request costs over 10 % more.

mod house;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use house::Ask;
use house::House;
use house::SMALL;
use house::Size;

const ROUNDS: usize = 301;
/// Each request this often a round.
const TIMES: usize = 8;
/// More than the smallest: what a whole request may cost at any size.
const MOST: f64 = 1.10;

/// A piece of work, asked of every size.
struct Work {
    name: &'static str,
    /// Whether it is all that we do for a request, which must be flat.
    whole: bool,
    run: fn(&House, &Ask),
}

const DECIDE: Work = Work {
    name: "target parsed and decided",
    whole: false,
    run: |house, ask| {
        black_box(house.judge(black_box(ask)));
    },
};
const NEW: Work = Work {
    name: "session verified anew",
    whole: false,
    run: |house, ask| assert!(house.desk.session_anew(&ask.authority, black_box(&ask.head.headers))),
};
const REQUEST: Work = Work {
    name: "a request, all rules",
    whole: true,
    run: |house, ask| {
        let ready = house.desk.ready(&ask.authority, black_box(&ask.head)).unwrap();
        assert!(house.desk.header_rules(&ready, &ask.head) > 0);
    },
};
const CHECK: Work = Work {
    name: "a /check/nginx",
    whole: true,
    run: |house, ask| assert_eq!(house.desk.check(black_box(&ask.check)), 200),
};

fn main() -> ExitCode {
    let routes = [1, 10, 1_000, 10_000].map(|routes| (routes.to_string(), Size { routes, ..SMALL }));
    let revoked = [10, 1_000_000].map(|revoked| (revoked.to_string(), Size { revoked, ..SMALL }));
    let sites = [1, 1_000].map(|sites| (sites.to_string(), Size { sites, ..SMALL }));
    println!("| what | beside it | ns, median | ns, least | ratio |");
    println!("|---|---|---|---|---|");
    let flat = [
        compare("routes", &routes, &[DECIDE, REQUEST, CHECK]),
        compare("ended sessions", &revoked, &[NEW, REQUEST, CHECK]),
        compare("sites", &sites, &[DECIDE, NEW, REQUEST, CHECK]),
    ];
    if flat.contains(&false) {
        eprintln!("a whole request costs over {MOST} times as much at some size");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Prints a line for each work and size; whether all that must be flat is.
fn compare(kind: &str, sizes: &[(String, Size)], works: &[Work]) -> bool {
    let houses: Vec<(&str, House)> =
        sizes.iter().map(|(shown, size)| (shown.as_str(), House::build(*size))).collect();
    let mut flat = true;
    for work in works {
        let mut times = vec![Vec::with_capacity(ROUNDS); houses.len()];
        for round in 0..ROUNDS {
            // Another one begins each round.
            for turn in 0..houses.len() {
                let place = (turn + round) % houses.len();
                times[place].push(time(work, &houses[place].1));
            }
        }
        let mut first = None;
        for ((shown, _), times) in houses.iter().zip(&mut times) {
            times.sort_by(f64::total_cmp);
            let (median, least) = (times[times.len() / 2], times[0]);
            let ratio = median / *first.get_or_insert(median);
            flat &= !work.whole || ratio <= MOST;
            println!("| {} | {shown} {kind} | {median:.0} | {least:.0} | {ratio:.2} |", work.name);
        }
    }
    flat
}

/// Nanoseconds for one.
fn time(work: &Work, house: &House) -> f64 {
    let began = Instant::now();
    for _ in 0..TIMES {
        for ask in &house.asks {
            (work.run)(house, ask);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let count = (TIMES * house.asks.len()) as f64;
    began.elapsed().as_secs_f64() * 1e9 / count
}
