//! The camera's clock.

/// `2024:03:10 10:00:00` in the form `2024-03-10T10:00:00`, with the offset behind it if there is a sound one; without,
/// it is the camera's local time. `None` if it is no time, as where a camera writes zeros or spaces.
pub(super) fn taken_at(time: &[u8], offset: Option<&[u8]>) -> Option<String> {
    let &[
        y1,
        y2,
        y3,
        y4,
        b':',
        o1,
        o2,
        b':',
        d1,
        d2,
        b' ',
        h1,
        h2,
        b':',
        m1,
        m2,
        b':',
        s1,
        s2,
        ..,
    ] = time
    else {
        return None;
    };
    let (year, month, day) = (
        number(&[y1, y2, y3, y4])?,
        number(&[o1, o2])?,
        number(&[d1, d2])?,
    );
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[m1, m2])?, number(&[s1, s2])?);
    let sound = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    let offset = offset.and_then(sound_offset).unwrap_or_default();
    sound
        .then(|| format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{offset}"))
}

fn sound_offset(offset: &[u8]) -> Option<String> {
    let &[sign @ (b'+' | b'-'), h1, h2, b':', m1, m2, ..] = offset else {
        return None;
    };
    let (hours, minutes) = (number(&[h1, h2])?, number(&[m1, m2])?);
    (hours < 24 && minutes < 60).then(|| format!("{}{hours:02}:{minutes:02}", char::from(sign)))
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u32::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sound_times_are_shown() {
        let time = |text: &str| taken_at(text.as_bytes(), None);
        assert_eq!(
            time("2024:02:30 23:59:60").as_deref(),
            Some("2024-02-30T23:59:60")
        );
        for bad in [
            "",
            "    :  :     :  :  ",
            "0000:00:00 00:00:00",
            "2024-03-10 10:00:00",
            "2024:13:10 10:00:00",
            "2024:03:10 24:00:00",
            "2024:03:10 10:00:0",
            "2024:03:10 10:+1:00",
        ] {
            assert_eq!(time(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_unsound_offset_is_left_out() {
        let time =
            |offset: &str| taken_at(b"2024:03:10 10:00:00", Some(offset.as_bytes())).unwrap();
        assert!(time("+05:45").ends_with("00+05:45") && time("-00:30").ends_with("00-00:30"));
        for bad in ["", "Z", "+5:45", "+24:00", "+01:60", "   :  "] {
            assert_eq!(time(bad), "2024-03-10T10:00:00");
        }
    }
}
