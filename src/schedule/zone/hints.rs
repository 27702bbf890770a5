//! Advice about a zone name that the IANA data does not have. Called by `parse_zone` alone, after
//! the name was refused: nothing here makes a name valid.

use chrono_tz::{TZ_VARIANTS, Tz};

/// Names of Windows, each with the zone of the place it is named after.
const WINDOWS: [(&str, &str); 62] = [
    ("AUS Eastern Standard Time", "Australia/Sydney"),
    ("AUS Central Standard Time", "Australia/Darwin"),
    ("Alaskan Standard Time", "America/Anchorage"),
    ("Arab Standard Time", "Asia/Riyadh"),
    ("Arabian Standard Time", "Asia/Dubai"),
    ("Argentina Standard Time", "America/Argentina/Buenos_Aires"),
    ("Atlantic Standard Time", "America/Halifax"),
    ("Azerbaijan Standard Time", "Asia/Baku"),
    ("Bangladesh Standard Time", "Asia/Dhaka"),
    ("Canada Central Standard Time", "America/Regina"),
    ("Cen. Australia Standard Time", "Australia/Adelaide"),
    ("Central America Standard Time", "America/Guatemala"),
    ("Central Asia Standard Time", "Asia/Almaty"),
    ("Central Brazilian Standard Time", "America/Cuiaba"),
    ("Central Europe Standard Time", "Europe/Budapest"),
    ("Central European Standard Time", "Europe/Warsaw"),
    ("Central Standard Time", "America/Chicago"),
    ("Central Standard Time (Mexico)", "America/Mexico_City"),
    ("China Standard Time", "Asia/Shanghai"),
    ("Coordinated Universal Time", "UTC"),
    ("E. Africa Standard Time", "Africa/Nairobi"),
    ("E. Australia Standard Time", "Australia/Brisbane"),
    ("E. Europe Standard Time", "Europe/Chisinau"),
    ("E. South America Standard Time", "America/Sao_Paulo"),
    ("Eastern Standard Time", "America/New_York"),
    ("Eastern Standard Time (Mexico)", "America/Cancun"),
    ("Egypt Standard Time", "Africa/Cairo"),
    ("FLE Standard Time", "Europe/Kyiv"),
    ("GMT Standard Time", "Europe/London"),
    ("GTB Standard Time", "Europe/Bucharest"),
    ("Georgian Standard Time", "Asia/Tbilisi"),
    ("Greenwich Standard Time", "Atlantic/Reykjavik"),
    ("Hawaiian Standard Time", "Pacific/Honolulu"),
    ("India Standard Time", "Asia/Kolkata"),
    ("Iran Standard Time", "Asia/Tehran"),
    ("Israel Standard Time", "Asia/Jerusalem"),
    ("Jordan Standard Time", "Asia/Amman"),
    ("Korea Standard Time", "Asia/Seoul"),
    ("Middle East Standard Time", "Asia/Beirut"),
    ("Morocco Standard Time", "Africa/Casablanca"),
    ("Mountain Standard Time", "America/Denver"),
    ("Myanmar Standard Time", "Asia/Yangon"),
    ("Nepal Standard Time", "Asia/Kathmandu"),
    ("New Zealand Standard Time", "Pacific/Auckland"),
    ("Newfoundland Standard Time", "America/St_Johns"),
    ("Pacific Standard Time", "America/Los_Angeles"),
    ("Pacific Standard Time (Mexico)", "America/Tijuana"),
    ("Pakistan Standard Time", "Asia/Karachi"),
    ("Romance Standard Time", "Europe/Paris"),
    ("Russian Standard Time", "Europe/Moscow"),
    ("SA Pacific Standard Time", "America/Bogota"),
    ("SE Asia Standard Time", "Asia/Bangkok"),
    ("Singapore Standard Time", "Asia/Singapore"),
    ("South Africa Standard Time", "Africa/Johannesburg"),
    ("Sri Lanka Standard Time", "Asia/Colombo"),
    ("Taipei Standard Time", "Asia/Taipei"),
    ("Tasmania Standard Time", "Australia/Hobart"),
    ("Tokyo Standard Time", "Asia/Tokyo"),
    ("Turkey Standard Time", "Europe/Istanbul"),
    ("US Mountain Standard Time", "America/Phoenix"),
    ("W. Australia Standard Time", "Australia/Perth"),
    ("W. Europe Standard Time", "Europe/Berlin"),
];

/// Names that places had, or have beside the one that the data knows.
const OLD: [(&str, &str); 17] = [
    ("Asia/Bombay", "Asia/Kolkata"),
    ("Asia/Mumbai", "Asia/Kolkata"),
    ("Asia/Delhi", "Asia/Kolkata"),
    ("Asia/New_Delhi", "Asia/Kolkata"),
    ("Asia/Madras", "Asia/Kolkata"),
    ("Asia/Bangalore", "Asia/Kolkata"),
    ("Asia/Peking", "Asia/Shanghai"),
    ("Asia/Beijing", "Asia/Shanghai"),
    ("Asia/Canton", "Asia/Shanghai"),
    ("Asia/Osaka", "Asia/Tokyo"),
    ("Asia/Pusan", "Asia/Seoul"),
    ("Asia/Constantinople", "Europe/Istanbul"),
    ("Asia/Tel-Aviv", "Asia/Tel_Aviv"),
    ("Europe/Constantinople", "Europe/Istanbul"),
    ("Europe/Leningrad", "Europe/Moscow"),
    ("America/San_Francisco", "America/Los_Angeles"),
    ("America/Washington", "America/New_York"),
];

/// The fix for a name that no zone has.
pub(super) fn suggest(name: &str) -> String {
    let given = name.trim();
    if let Some(fix) = offset(given) {
        return fix;
    }
    if let Some((_, zone)) = WINDOWS.iter().find(|(windows, _)| {
        windows.eq_ignore_ascii_case(given)
            || daylight(windows).is_some_and(|other| other.eq_ignore_ascii_case(given))
    }) {
        return format!("that is a name of Windows; the IANA name is {zone}");
    }
    let wanted = given.replace(' ', "_").to_ascii_lowercase();
    let old = OLD.iter().find(|(old, _)| {
        old.eq_ignore_ascii_case(&wanted)
            || old.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(&wanted))
    });
    if let Some((_, zone)) = old {
        return format!("did you mean {zone}?");
    }
    nearest(&wanted)
}

/// The summer name of a Windows zone.
fn daylight(windows: &str) -> Option<String> {
    windows.contains("Standard").then(|| windows.replace("Standard", "Daylight"))
}

/// `GMT+3`, `UTC+05:30`, `+0200`: a distance from UTC, which is no place. The zones that have a
/// fixed one count the other way: `Etc/GMT-3` is three hours east.
fn offset(given: &str) -> Option<String> {
    let upper = given.to_ascii_uppercase();
    let bare = upper.strip_prefix("ETC/").unwrap_or(&upper);
    let rest = ["UTC", "GMT", "Z"].iter().find_map(|name| bare.strip_prefix(name)).unwrap_or(bare);
    let rest = rest.trim_start();
    let west = match rest.as_bytes().first()? {
        b'+' => false,
        b'-' => true,
        _ => return None,
    };
    let digits = rest[1..].trim_start();
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None if digits.len() > 2 && digits.is_ascii() => digits.split_at(digits.len() - 2),
        None => (digits, "0"),
    };
    let number = |text: &str| {
        let plain = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| text.parse::<u32>().ok()).flatten()
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let wants_place = "a place's zone, such as Europe/Berlin, also follows daylight saving time";
    if upper.starts_with("ETC/") {
        return Some(format!("Etc/GMT-14 to Etc/GMT+12 are there, in whole hours; {wants_place}"));
    }
    let side = if west { "west" } else { "east" };
    if hours == 0 && minutes == 0 {
        return Some("write UTC".to_owned());
    }
    let zone = format!("Etc/GMT{}{hours}", if west { '+' } else { '-' });
    if minutes == 0 && zone.parse::<Tz>().is_ok() {
        let plural = if hours == 1 { "" } else { "s" };
        return Some(format!(
            "{hours} hour{plural} {side} of UTC is {zone} (its sign is turned round); {wants_place}"
        ));
    }
    Some(format!(
        "no zone is named after that distance from UTC; write the zone of the place, such as {}",
        place(west, hours, minutes).unwrap_or("Europe/Berlin")
    ))
}

/// A place that has such a distance from UTC all year round, for the common ones with minutes.
fn place(west: bool, hours: u32, minutes: u32) -> Option<&'static str> {
    match (west, hours, minutes) {
        (false, 3, 30) => Some("Asia/Tehran"),
        (false, 4, 30) => Some("Asia/Kabul"),
        (false, 5, 30) => Some("Asia/Kolkata"),
        (false, 5, 45) => Some("Asia/Kathmandu"),
        (false, 6, 30) => Some("Asia/Yangon"),
        (false, 8, 45) => Some("Australia/Eucla"),
        (false, 9, 30) => Some("Australia/Darwin"),
        (true, 9, 30) => Some("Pacific/Marquesas"),
        _ => None,
    }
}

/// The known name that looks most like another, which is in small letters with `_` for blanks.
fn nearest(wanted: &str) -> String {
    let mut near: Vec<(f64, &'static str)> = TZ_VARIANTS
        .iter()
        // A zone with a turned sign is only suggested for a name with a sign.
        .filter(|tz| {
            wanted.len() <= 64 && !tz.name().contains("GMT+") && !tz.name().contains("GMT-")
        })
        .map(|tz| {
            let known = tz.name().to_ascii_lowercase();
            let city = known.rsplit('/').next().unwrap_or(&known);
            let score =
                strsim::jaro_winkler(wanted, &known).max(strsim::jaro_winkler(wanted, city) - 0.01);
            (score, tz.name())
        })
        .filter(|(score, _)| *score > 0.85)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    match near.as_slice() {
        [] => "use an IANA name such as UTC or Europe/Berlin".to_owned(),
        [(_, best), ..] => format!("did you mean {best}?"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse_zone;
    use super::*;

    #[test]
    fn every_zone_in_the_tables_is_one() {
        for (name, zone) in WINDOWS.iter().chain(&OLD) {
            assert!(zone.parse::<Tz>().is_ok(), "{zone}");
            assert_ne!(name, zone);
        }
        for (hours, minutes) in [(3, 30), (4, 30), (5, 30), (5, 45), (6, 30), (8, 45), (9, 30)] {
            assert!(place(false, hours, minutes).unwrap().parse::<Tz>().is_ok());
        }
    }

    #[test]
    fn a_hint_never_leads_astray() {
        let kolkata = "no zone is named after that distance from UTC; write the zone of the \
            place, such as Asia/Kolkata";
        for (name, hint) in [
            ("europe/berlin", "did you mean Europe/Berlin?"),
            ("America/NewYork", "did you mean America/New_York?"),
            ("Paris", "did you mean Europe/Paris?"),
            ("Berlin", "did you mean Europe/Berlin?"),
            ("Asia/Bombay", "did you mean Asia/Kolkata?"),
            ("bombay", "did you mean Asia/Kolkata?"),
            ("Asia/Beijing", "did you mean Asia/Shanghai?"),
            (
                "Pacific Standard Time",
                "that is a name of Windows; the IANA name is America/Los_Angeles",
            ),
            (
                "w. europe daylight time",
                "that is a name of Windows; the IANA name is Europe/Berlin",
            ),
            ("GMT+3", "3 hours east of UTC is Etc/GMT-3 (its sign is turned round); a place's"),
            ("UTC+3", "3 hours east of UTC is Etc/GMT-3 (its sign"),
            ("utc-03:00", "3 hours west of UTC is Etc/GMT+3 (its sign"),
            ("+0100", "1 hour east of UTC is Etc/GMT-1 (its sign"),
            ("UTC -5", "5 hours west of UTC is Etc/GMT+5 (its sign"),
            ("UTC+05:30", kolkata),
            ("+0530", kolkata),
            ("UTC+25", "no zone is named after that distance from UTC"),
            ("Etc/GMT+13", "Etc/GMT-14 to Etc/GMT+12 are there"),
            ("UTC+00:00", "write UTC"),
            ("Mars/Base", "use an IANA name such as UTC or Europe/Berlin"),
            ("qqq", "use an IANA name"),
            ("GMT+\u{e9}\u{e9}\u{e9}", "did you mean"),
            ("", "use an IANA name"),
        ] {
            let error = parse_zone(name).unwrap_err().to_string();
            let said = format!("timezone {name:?} is unknown; {hint}");
            assert!(error.starts_with(&said), "{error}\n{said}");
        }
        for name in ["US/Pacific-New", "CEST", "PST"] {
            let error = parse_zone(name).unwrap_err().to_string();
            assert!(!error.contains("GMT"), "{error}");
        }
    }
}
