//! Blinking a light, so that somebody on the mast finds the right box.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A light that blinks while this lives, and then does again what it did before.
#[derive(Debug)]
pub(super) struct Blinking {
    led: PathBuf,
    trigger: String,
    brightness: String,
}

impl Blinking {
    /// Takes the best light the machine has; `None` where there is none to take.
    pub(super) fn start(sys: &Path) -> Option<Self> {
        let led = choose(&sys.join("class/leds"))?;
        let trigger = active_trigger(&fs::read_to_string(led.join("trigger")).ok()?);
        let brightness = fs::read_to_string(led.join("brightness")).ok()?;
        // The kernel's own timer blinks on: nothing to do here until the end.
        if let Err(error) = fs::write(led.join("trigger"), "timer") {
            tracing::warn!(led = %led.display(), %error, "cannot make the light blink");
            return None;
        }
        Some(Self { led, trigger, brightness: brightness.trim().to_owned() })
    }
}

impl Drop for Blinking {
    fn drop(&mut self) {
        let restored = fs::write(self.led.join("trigger"), &self.trigger)
            .and_then(|()| fs::write(self.led.join("brightness"), &self.brightness));
        if let Err(error) = restored {
            tracing::warn!(led = %self.led.display(), %error, "cannot restore the light");
        }
    }
}

/// Names that makers give to the light that means "this box", in order of preference.
fn choose(folder: &Path) -> Option<PathBuf> {
    const PREFERRED: [&str; 5] = ["locate", "ident", "status", "system", "power"];
    let leds = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let ranked = leds.filter_map(|led| {
        let name = led.file_name()?.to_string_lossy().to_lowercase();
        let rank = PREFERRED.iter().position(|preferred| name.contains(preferred))?;
        Some((rank, led))
    });
    ranked.min().map(|(_, led)| led)
}

/// `none [heartbeat] timer`: the one in brackets is on.
fn active_trigger(triggers: &str) -> String {
    let active = triggers.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    active.map_or("none", |(trigger, _)| trigger).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn led(sys: &Path, name: &str) -> PathBuf {
        let led = sys.join("class/leds").join(name);
        fs::create_dir_all(&led).unwrap();
        fs::write(led.join("trigger"), "none timer [heartbeat] default-on\n").unwrap();
        fs::write(led.join("brightness"), "255\n").unwrap();
        led
    }

    #[test]
    fn the_status_light_blinks_and_goes_back_to_what_it_did() {
        let sys = tempfile::tempdir().unwrap();
        let power = led(sys.path(), "green:power");
        let status = led(sys.path(), "blue:status");
        let trigger = |led: &Path| fs::read_to_string(led.join("trigger")).unwrap();
        let blinking = Blinking::start(sys.path()).unwrap();
        assert_eq!(trigger(&status), "timer");
        assert!(trigger(&power).contains("[heartbeat]"));
        drop(blinking);
        assert_eq!(trigger(&status), "heartbeat");
        assert_eq!(fs::read_to_string(status.join("brightness")).unwrap(), "255");
    }

    #[test]
    fn a_keyboards_light_is_left_alone() {
        let sys = tempfile::tempdir().unwrap();
        assert!(Blinking::start(sys.path()).is_none());
        led(sys.path(), "input0::capslock");
        assert!(Blinking::start(sys.path()).is_none());
    }
}
