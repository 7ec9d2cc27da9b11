//! Claims about what people saw and felt meanwhile.

use super::super::span::{Millis, Seconds};
use super::super::{Evidence, clock, copying, drawing, keys, ping};
use super::{BRIEF, Finding, holds_if, list, not_measured};
use sun4v::time::SimTime;

/// "Felt normal at the keyboard": half of all echoes within this.
const NORMAL_ECHO: SimTime = SimTime::ms(100);
/// "Almost saturates 16 CPUs", in percent of all of them.
const SATURATED_PERCENT: f64 = 90.0;
/// "Far less CPU power" at the other end, as a share of the source's.
const FAR_LESS: f64 = 0.5;
/// Echoes that a judgement of the keyboard needs.
const ECHOES_MIN: usize = 10;

pub fn keyboard(evidence: &Evidence<'_>) -> Finding {
    let moving: usize = evidence.keys.iter().map(|keys| keys.moving_echoes).sum();
    if moving < ECHOES_MIN {
        return not_measured(format!("{moving} echoes during live migrations"));
    }
    let right = |keys: &keys::Keys| {
        keys.moving_median_ms.is_none_or(|median| median.0 <= NORMAL_ECHO)
            && keys.moving_longest_ms.is_none_or(|longest| longest.0 <= BRIEF)
            && keys.missing == 0
            && keys.sessions_lost == 0
    };
    let typed = evidence.keys.iter().filter(|keys| keys.moving_echoes > 0);
    let each = typed.map(|keys| {
        let mut text = format!(
            "{} echoes, median {}, longest {}",
            keys.moving_echoes,
            keys.moving_median_ms.unwrap_or_default(),
            keys.moving_longest_ms.unwrap_or_default()
        );
        if keys.missing > 0 {
            text += &format!(", {} missing", keys.missing);
        }
        if keys.sessions_lost > 0 {
            text += &format!(", {} sessions lost", keys.sessions_lost);
        }
        text
    });
    holds_if(evidence.keys.iter().all(right), list(each))
}

pub fn pings(evidence: &Evidence<'_>) -> Finding {
    let (mut replies, mut moving, mut lost, mut longest) = (0, 0, 0, Millis::default());
    for stream in &evidence.pings {
        replies += stream.replies;
        moving += stream.moving_replies;
        lost += stream.lost;
        longest = longest.max(stream.longest_ms.unwrap_or_default());
    }
    if moving == 0 && lost == 0 {
        return not_measured("no pings during a live migration");
    }
    let medians = |of: fn(&ping::Stream) -> Option<Millis>| {
        evidence.pings.iter().filter_map(of).max().unwrap_or_default()
    };
    let text = format!(
        "{lost} lost of {}, median {} (at rest {}), longest {longest}",
        replies + lost,
        medians(|stream| stream.moving_median_ms),
        medians(|stream| stream.resting_median_ms)
    );
    holds_if(lost == 0 && longest.0 <= BRIEF, text)
}

pub fn draws(evidence: &Evidence<'_>) -> Finding {
    let watched: Vec<_> =
        evidence.drawings.iter().filter(|watched| watched.at_suspend.is_some()).collect();
    if watched.is_empty() {
        return not_measured("nobody watched a drawing that was moved");
    }
    let right = |watched: &&drawing::Watched| {
        let gap = watched.longest_gap_ms.unwrap_or_default();
        watched.at_suspend == Some(true) && gap.0 <= SimTime::secs(2)
    };
    let each = watched.iter().map(|watched| {
        let gap = watched.longest_gap_ms.unwrap_or_default();
        let at = watched.gap_at_s.unwrap_or_default().0.since(watched.typed_s.0);
        let place = if watched.at_suspend == Some(true) { "at the suspend" } else { "elsewhere" };
        format!("{gap} {place} ({} in)", Seconds(at))
    });
    holds_if(watched.iter().all(right), list(each))
}

pub fn cpus(evidence: &Evidence<'_>) -> Finding {
    let sampled = |one: &&copying::Copying| one.source.samples > 0 && one.target.samples > 0;
    let copies: Vec<_> = evidence.copies.iter().filter(sampled).collect();
    if copies.is_empty() {
        return not_measured("no samples while memory moved");
    }
    let right = |one: &&copying::Copying| {
        let (source, target) = (one.source.mean_percent, one.target.mean_percent);
        source >= SATURATED_PERCENT && target <= source * FAR_LESS
    };
    let each = copies.iter().map(|one| {
        format!(
            "{} {:.0} %, {} {:.0} %",
            one.source.chassis,
            one.source.mean_percent,
            one.target.chassis,
            one.target.mean_percent
        )
    });
    holds_if(copies.iter().all(right), list(each))
}

pub fn clock(evidence: &Evidence<'_>) -> Finding {
    let moved: Vec<_> = evidence.clocks.iter().filter(|clock| clock.moving_lines > 0).collect();
    if moved.is_empty() {
        return not_measured("no clock was moved");
    }
    let each = moved.iter().map(|clock| {
        let mut text = format!("{} even steps, {} at pauses", clock.even, clock.paused);
        if clock.odd > 0 {
            let at = clock.first_odd_s.unwrap_or_default();
            text += &format!(", {} odd, the first at {at}", clock.odd);
        }
        if clock.missing > 0 {
            text += &format!(", {} missing", clock.missing);
        }
        text + &format!(", longest {}", clock.longest_step_s.unwrap_or_default())
    });
    holds_if(moved.iter().all(|clock| clock.odd == 0 && clock.missing == 0), list(each))
}

pub fn others(evidence: &Evidence<'_>) -> Finding {
    let beside: Vec<_> = evidence.clocks.iter().filter(|clock| clock.beside_lines > 0).collect();
    if beside.is_empty() {
        return not_measured("no other guest ran during a migration");
    }
    let each = beside
        .iter()
        .map(|clock| format!("{}: {} even steps, {} odd", clock.domain, clock.even, clock.odd));
    let even = |clock: &&clock::Clock| clock.odd == 0 && clock.missing == 0;
    holds_if(beside.iter().all(even), list(each))
}
