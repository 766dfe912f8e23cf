//! Everything at once: a seed decides who does what next, and what goes wrong.

use std::time::Instant;

use super::broker::Broker;
use super::checks::Checks;
use super::correlating::{self, Correlating};
use super::input::{Input, PARTITIONS};
use super::random::Random;
use super::scanning::{self, Scanning};
use super::{Naive, Parts, Scene, Tally};

/// Turns until a run counts as stuck.
const MOST_STEPS: u64 = 200_000;

/// How bad a day it is.
struct Weather {
    exactly_once: bool,
    /// In a thousand steps.
    crashes: u64,
    stalls: u64,
    moves: u64,
    retention: u64,
    /// How long an instance may stand still: milliseconds.
    longest_stall: i64,
    /// Milliseconds between two steps, at most.
    pace: i64,
    scanners: usize,
    correlators: usize,
}

impl Weather {
    fn new(random: &mut Random, naive: Naive) -> Self {
        // Everybody sleeps at once: nobody reads what comes meanwhile.
        let is_sleepy = random.chance(10) || naive == Naive::Stops;
        let bad = |random: &mut Random, most| if random.chance(75) { random.below(most) } else { 0 };
        Weather {
            exactly_once: random.chance(60),
            crashes: bad(random, 12),
            stalls: if is_sleepy { 10 } else { bad(random, 12) },
            moves: bad(random, 20),
            retention: if random.chance(10) { 2 } else { 0 },
            longest_stall: if is_sleepy { 200_000 } else { random.pick(&[5_000, 90_000]).unwrap_or(0) },
            pace: random.pick(&[100, 200, 500]).unwrap_or(100),
            scanners: if is_sleepy { 1 } else { 1 + random.index(3) },
            correlators: 1 + random.index(3),
        }
    }
}

/// Runs one seed.
///
/// # Errors
/// What must never be, but was.
pub fn run(seed: u64, parts: &Parts, naive: Naive) -> Result<Tally, String> {
    let mut random = Random(seed);
    let input = Input::new(&mut random);
    let weather = Weather::new(&mut random, naive);
    let (reports, states) = (1 + random.index(2), 1 + random.index(2));
    let mut broker = Broker::new(PARTITIONS, reports, states);
    broker.without_fencing = naive == Naive::Fencing;
    let mut checks = Checks::new(&input, &parts.rules, parts.options, &parts.policy, reports, weather.exactly_once);
    let mut tally = Tally::default();
    // Everything may have been written before anybody reads.
    let now = if random.chance(30) { 300_000 } else { 0 };
    checks.is_fair = now == 0 && weather.crashes + weather.stalls + weather.moves == 0;
    let mut scene = Scene {
        broker: &mut broker,
        checks: &mut checks,
        random: &mut random,
        tally: &mut tally,
        now,
        epoch: Instant::now(),
        naive,
        chaos: true,
    };
    let mut world = World {
        parts,
        weather,
        scanners: Vec::new(),
        correlators: Vec::new(),
        scan_wires: Vec::new(),
        correlate_wires: Vec::new(),
        gone: Vec::new(),
        members: 0,
        is_scanned: false,
    };
    world.run(&mut scene);
    if let Some(violation) = scene.checks.violation() {
        return Err(format!("step {}: {violation}", scene.tally.steps));
    }
    scene.tally.alerts = scene.checks.alerts() as u64;
    scene.tally.spoilt = u64::from(scene.checks.is_spoilt());
    Ok(tally)
}

struct World<'w> {
    parts: &'w Parts,
    weather: Weather,
    scanners: Vec<Scanning<'w>>,
    correlators: Vec<Correlating<'w>>,
    /// What crashed instances had on its way.
    scan_wires: Vec<scanning::Wire>,
    correlate_wires: Vec<correlating::Wire>,
    /// Members that crashed; the group learns of it later.
    gone: Vec<u64>,
    members: u64,
    is_scanned: bool,
}

impl World<'_> {
    fn run(&mut self, scene: &mut Scene<'_, '_>) {
        while scene.checks.violation().is_none() {
            scene.tally.steps += 1;
            scene.now += scene.random.between(0, self.weather.pace);
            self.recruit(scene);
            let (steps, now) = (scene.tally.steps, scene.now);
            scene.chaos = steps < 1_500 || now < 250_000 && steps < 6_000;
            if scene.chaos {
                self.trouble(scene);
            } else if self.comes_to_rest(scene) {
                return scene.checks.at_the_end(scene.broker);
            }
            self.step(scene);
            if scene.tally.steps > MOST_STEPS {
                let (scan, correlate) = (&scene.broker.scan.committed, &scene.broker.correlate.committed);
                let ends: Vec<i64> = scene.broker.reports.iter().map(|reports| reports.end()).collect();
                let what = format!("stuck at {scan:?} and {correlate:?} of {ends:?}, {:?}", scene.broker.correlate);
                scene.checks.fail(|| what);
            }
        }
    }

    /// Instances that are missing are started.
    fn recruit(&mut self, scene: &mut Scene<'_, '_>) {
        if self.scanners.len() < self.weather.scanners && !self.is_scanned && scene.random.chance(10) {
            self.members += 1;
            self.scanners.push(Scanning::new(self.members, &self.parts.matcher, scene));
        }
        if self.correlators.len() < self.weather.correlators && scene.random.chance(10) {
            self.members += 1;
            let setup = correlating::Setup {
                rules: &self.parts.rules,
                options: self.parts.options,
                policy: &self.parts.policy,
                exactly_once: self.weather.exactly_once,
            };
            self.correlators.push(Correlating::new(self.members, setup, scene));
        }
    }

    fn step(&mut self, scene: &mut Scene<'_, '_>) {
        let (scanners, correlators) = (self.scanners.len(), self.correlators.len());
        if scanners > 0 {
            let scanner = &mut self.scanners[scene.random.index(scanners)];
            let is_awake = scanner.stalled_until <= scene.now;
            match scene.random.below(3) {
                0 if is_awake && !self.is_scanned => scanner.turn(scene),
                // What is on the wire arrives also when its sender sleeps.
                1 | 2 if is_awake || scene.random.chance(10) => scanner.network(scene),
                _ => {}
            }
        }
        if correlators > 0 {
            let index = scene.random.index(correlators);
            let correlator = &mut self.correlators[index];
            let is_awake = correlator.stalled_until <= scene.now;
            match scene.random.below(2) {
                0 if is_awake => correlator.turn(scene),
                1 if is_awake || scene.random.chance(10) => correlator.network(scene),
                _ => {}
            }
            if correlator.is_broken {
                self.crash_correlator(index);
            }
        }
    }

    /// Something goes wrong, or on its way.
    fn trouble(&mut self, scene: &mut Scene<'_, '_>) {
        if scene.random.permille(self.weather.crashes) {
            self.crash(scene);
        }
        if scene.random.permille(self.weather.stalls) {
            self.stall(scene);
        }
        if scene.random.permille(self.weather.moves) {
            self.move_partition(scene);
        }
        if scene.random.permille(30) {
            self.expire_sessions(scene);
        }
        if scene.random.permille(20) {
            self.deliver_late(scene);
        }
        if scene.random.permille(10) {
            let state = scene.random.index(scene.broker.states.len());
            scene.broker.compact(state);
        }
        if scene.random.permille(2) {
            let id = scene.random.index(scene.broker.reports.len());
            scene.broker.time_out(id);
        }
        if scene.random.permille(self.weather.retention) {
            let at = scene.random.index(scene.broker.reports.len());
            let reports = &mut scene.broker.reports[at];
            reports.start = scene.random.between(reports.start, reports.end());
        }
    }

    fn crash(&mut self, scene: &mut Scene<'_, '_>) {
        scene.tally.crashes += 1;
        if scene.random.chance(50) && !self.scanners.is_empty() {
            let crashed = self.scanners.swap_remove(scene.random.index(self.scanners.len()));
            self.gone.push(crashed.member.id);
            self.scan_wires.push(crashed.wire);
        } else if !self.correlators.is_empty() {
            let index = scene.random.index(self.correlators.len());
            self.crash_correlator(index);
        }
    }

    fn crash_correlator(&mut self, index: usize) {
        let crashed = self.correlators.swap_remove(index);
        self.gone.push(crashed.member.id);
        self.correlate_wires.push(crashed.wire);
    }

    fn stall(&mut self, scene: &mut Scene<'_, '_>) {
        scene.tally.stalls += 1;
        let until = scene.now + scene.random.between(1, self.weather.longest_stall);
        if scene.random.chance(50) && !self.scanners.is_empty() {
            let index = scene.random.index(self.scanners.len());
            if scene.random.chance(50) && self.scanners[index].stalled_until == 0 {
                self.scanners[index].catch_up(scene);
            }
            self.scanners[index].stalled_until = until;
        } else if !self.correlators.is_empty() {
            let index = scene.random.index(self.correlators.len());
            self.correlators[index].stalled_until = until;
        }
    }

    fn move_partition(&mut self, scene: &mut Scene<'_, '_>) {
        scene.tally.moves += 1;
        let is_scan = scene.random.chance(50);
        let partitions = if is_scan { PARTITIONS } else { scene.broker.reports.len() };
        let partition = scene.random.index(partitions);
        let group = if is_scan { &mut scene.broker.scan } else { &mut scene.broker.correlate };
        let members: Vec<u64> = group.members().collect();
        if let Some(to) = scene.random.pick(&members) {
            group.want(partition, to);
        }
    }

    /// The groups miss those that crashed, and some that sleep.
    fn expire_sessions(&mut self, scene: &mut Scene<'_, '_>) {
        let (random, now) = (&mut *scene.random, scene.now);
        let scanners = self.scanners.iter().filter(|scanner| scanner.stalled_until > now).map(|s| s.member.id);
        let correlators = self.correlators.iter().filter(|c| c.stalled_until > now).map(|c| c.member.id);
        let sleeping: Vec<u64> = scanners.chain(correlators).filter(|_| random.chance(50)).collect();
        for id in self.gone.drain(..).chain(sleeping) {
            scene.broker.scan.expel(id);
            scene.broker.correlate.expel(id);
        }
    }

    /// What a crashed instance had on the wire arrives after all, or never.
    fn deliver_late(&mut self, scene: &mut Scene<'_, '_>) {
        let lost = scene.random.chance(30);
        if let Some(wire) = self.scan_wires.last_mut() {
            if lost || wire.is_empty() {
                self.scan_wires.pop();
            } else {
                wire.transmit(scene);
            }
        }
        if let Some(wire) = self.correlate_wires.last_mut() {
            if lost || wire.is_empty() {
                self.correlate_wires.pop();
            } else {
                wire.transmit(scene);
            }
        }
    }

    /// Nothing goes wrong any more: the groups settle, and when all was scanned, the scanners fall silent. Returns whether
    /// all is done.
    fn comes_to_rest(&mut self, scene: &mut Scene<'_, '_>) -> bool {
        scene.now += 100;
        if !scene.tally.steps.is_multiple_of(20) {
            return false;
        }
        self.expire_sessions(scene);
        let is_asleep = self.scanners.iter().any(|scanner| scanner.stalled_until > scene.now);
        if scene.checks.is_all_reported() && !is_asleep {
            self.scanners.drain(..).for_each(|scanner| scanner.finish(scene));
        }
        let committed = |input: usize| scene.broker.scan.committed[input].unwrap_or(0);
        self.is_scanned |= (0..PARTITIONS).all(|input| committed(input) == scene.checks.input.end(input));
        if self.is_scanned && scene.tally.steps.is_multiple_of(400) {
            let (read, reading) =
                self.correlators.drain(..).partition(|correlator| correlator.has_read_all(scene.broker));
            self.correlators = reading;
            let read: Vec<Correlating<'_>> = read;
            read.into_iter().for_each(|correlator| correlator.finish(scene));
        }
        let correlated = |at: usize| scene.broker.correlate.committed[at].unwrap_or(0);
        let is_correlated = (0..scene.broker.reports.len()).all(|at| correlated(at) == scene.broker.reports[at].end());
        self.is_scanned && is_correlated && self.scanners.is_empty()
    }
}
