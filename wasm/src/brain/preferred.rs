//! What the technician's preferences make of a decision: who presses the button, and what 'Stay signed in?' is answered
//! with. A preference only ever takes a click away or changes this one answer; it never adds a fill.

use super::{
    decide::{Decision, Page},
    flow::{Flow, Purpose, Step},
    page::View,
};
use crate::{
    elements::ElementKey,
    popup::view::StepProgress,
    preferences::{Preferences, StaySignedIn},
    words::{Text, Word},
};

/// The decision as the technician prefers it. What is left to the person is written down in the sign-in as if it had
/// been done: nobody sees the press, only the page that follows.
pub(super) fn preferred(decision: Decision, flow: &mut Flow, page: &Page, preferences: &Preferences) -> Decision {
    let own_press = Decision::Tell(Text::of(Word::PressYourself), false);
    match decision {
        Decision::Press(_, _, Purpose::Next) if !preferences.auto_submit => {
            flow.step(Step::UserName, StepProgress::Done);
            flow.step(Step::Next, StepProgress::Running);
            own_press
        }
        Decision::Press(_, _, Purpose::Submit) if !preferences.auto_submit => {
            // From here on the credential counts as sent: it is not filled again without a word.
            flow.document_mut(&page.document_id).submitted = true;
            flow.submitted = true;
            own_press
        }
        Decision::Wait(text)
            if !preferences.auto_submit
                && text.key == Word::StatusSubmitted.key()
                && matches!(page.view, View::Password | View::AccessPass) =>
        {
            own_press
        }
        Decision::Press(_, _, Purpose::DoNotStay) => match preferences.stay_signed_in {
            StaySignedIn::No => decision,
            StaySignedIn::Yes => Decision::Press(ElementKey::Primary, None, Purpose::Stay),
            StaySignedIn::Ask => {
                flow.step(Step::Stay, StepProgress::Running);
                Decision::Tell(Text::of(Word::StayYourself), false)
            }
        },
        other => other,
    }
}
