# English: the other languages fall back to this file. One file a language; lines may be replaced by [site.text].
# Plurals: https://projectfluent.org/fluent/guide/selectors.html

direction = ltr
language-name = English

## Everywhere

email = E-mail address
continue = Continue
sign-in = Sign in
sign-in-again = Sign in again
sign-out = Sign out
sign-out-everywhere = Sign out on all devices
signed-in-as = Signed in as
to-start = Go to the start page
try-again = Try again
contact = Questions?
reference = Reference:

## Spans and dates

span-seconds = { $count ->
    [one] { $count } second
   *[other] { $count } seconds
}
span-minutes = { $count ->
    [one] { $count } minute
   *[other] { $count } minutes
}
span-hours = { $count ->
    [one] { $count } hour
   *[other] { $count } hours
}
span-days = { $count ->
    [one] { $count } day
   *[other] { $count } days
}
span-years = { $count ->
    [one] { $count } year
   *[other] { $count } years
}
date = { $day } { $month ->
    [1] Jan
    [2] Feb
    [3] Mar
    [4] Apr
    [5] May
    [6] Jun
    [7] Jul
    [8] Aug
    [9] Sep
    [10] Oct
    [11] Nov
   *[12] Dec
} { $year }, { $time } UTC

## Signing in

login-title = Sign in
login-text = Enter your e-mail address. We send you a link; open it and you are in. No password needed.
login-send = Send me a link
login-remember = Keep me signed in on this device
login-invited = Only people who have been invited can sign in here. Please open the link that you were sent.
login-invited-ask = No link, or it no longer works? Ask
login-invited-ask-them = No link, or it no longer works? Ask the people who run this site.
login-bad-address = This does not look like an e-mail address. Please check it: it needs a name, an @ and a domain, such as alice@example.com.
login-try-later = There were too many requests. Please wait a few minutes, then try again. If you already have a mail from us, its link still works.
login-note-signed-out = You are signed out.
login-note-session-ended = Your session has ended. Please sign in again.
login-note-lost-post = What you sent was not saved, because you were not signed in. Sign in, then send it again.

waiting-title = Check your e-mail
waiting-text = If this address may sign in here, a mail with a link is on its way to:
waiting-state = Waiting until you open the link. This page then goes on by itself.
waiting-signed-in = You are signed in. One moment…
waiting-elsewhere = The link was used in another browser. You can go on there, or ask for a new link here.
waiting-expired = The link has expired. Ask for a new one below.
waiting-sent-again = We have sent another mail. The earlier link still works, too.
waiting-code = Or enter the code from the mail
waiting-wrong-code = This code is not right. Please compare it with the newest mail.
waiting-codes-off = Codes are switched off for now after too many wrong ones. Please use the link in the mail: it still works.
waiting-code-expired = This code has expired. Ask for a new mail below.
waiting-find = No mail yet?
waiting-spam = It can take a minute or two. Look in the spam folder as well. This is the mail to look for:
waiting-from = From
waiting-subject = Subject
waiting-valid = Works for
waiting-again = Send again
waiting-other = Use another address
waiting-continue = I have signed in: continue

verify-title = Is this you?
verify-sent-to = This sign-in link was sent to:
verify-text = Type that address in full to sign in here.
verify-wrong-address = The link was not sent to this address. Please check the spelling.
verify-too-many = Too many wrong addresses. This link no longer works here; please ask for a new one.
verify-elsewhere = For your safety this link works only in the browser where you asked for it.
verify-code-hint = Or go back to the place where you asked for the link, and enter the code from the mail there.

confirm-title = Sign in now?
confirm-text = One more click and you are in. This link was sent to:

other-title = You are already signed in
other-current = Signed in as
other-link = This link is for
other-stay = Go on as { $email }
other-switch = Sign in as { $email } instead
other-address = The full address this link was sent to

link-title = This link does not work
link-expired = It has expired. Links work only for a short time, for your safety.
link-used = It has been used already. For your safety it does not work again.
link-revoked = It has been withdrawn. Ask for a new one if you still need it.
link-invalid = It is damaged or incomplete. Mail programs sometimes cut long links: try copying all of it from the mail.
link-foreign = It comes from an older system that is no longer in use here. Please ask for a new link.
link-unknown = We do not know it (any more). Please ask for a new link.
link-again = Send me a new link
link-current = You are already signed in as { $email }.

## Denied, signing out

denied-title = You have no access here
denied-text = You are signed in as { $email }, but this address may not open { $host }.
denied-ask = If you need access, ask
denied-ask-them = If you need access, ask the people who run this site.
denied-other = Sign in as someone else

logout-title = Sign out?
logout-text = You are signed in as:

signed-out-title = You are signed out
signed-out-here = Nobody can go on in this browser without signing in again.
signed-out-everywhere = You are signed out on all your devices.

## Start page

start-title = Welcome
start-hello = Hello { $name }
start-apps = Your apps
start-no-apps = There is nothing here for you yet.
start-sessions = Where you are signed in
start-this = this device
start-since = Signed in { $date }
start-seen = Last seen { $date }
start-end = Sign out
start-end-device = Sign out on { $device }
start-tokens = Your tokens

## When something went wrong

lost-title = Please sign in first
lost-text = You sent a form, but you were not signed in (any more). Nothing was saved.
lost-back = Sign in, then go back in this browser: what you typed is often still there. To be safe, copy it first.

error-ask = Please ask
error-ask-them = Please ask the people who run this site.
error-detail = For the administrator
error-status = Error { $status }
error-bad-request-title = That request was not understood
error-bad-request-text = The address or the form was damaged on the way. Please go back and try again.
error-not-found-title = Nothing found here
error-not-found-text = There is no page at this address. Perhaps the link was cut off, or the page has moved.
error-unknown-host-title = This address is not set up
error-unknown-host-text = The name in the address bar leads here, but no site is set up for it.
error-too-large-title = That is too big
error-too-large-text = What you sent is larger than allowed here. Please try a smaller file.
error-too-many-title = Too many requests
error-too-many-text = Please wait a few minutes, then try again.
error-timeout-title = That took too long
error-timeout-text = Your request did not arrive in time. Please check your connection and try again.
error-upstream-down-title = The site is not running right now
error-upstream-down-text = The sign-in works, but the site behind it does not answer. Please try again in a minute.
error-upstream-slow-title = The site takes too long
error-upstream-slow-text = It has not answered in time. Please try again in a minute.
error-unavailable-title = Not available right now
error-unavailable-text = We are busy or being restarted. Please try again in a minute.
error-store-away-title = Signing in does not work right now
error-store-away-text = The place where sign-ins are kept cannot be reached. If you are signed in, you can go on; otherwise please try again in a few minutes.
error-internal-title = Something went wrong
error-internal-text = It is our fault, not yours. Please try again. If it keeps happening, tell the people who run this site.
error-loop-title = This goes round in circles
error-loop-text = Signing in sent your browser back here again and again. Please allow cookies for this site, then try again.
error-insecure-title = The connection is not secure
error-insecure-text = You can sign in only at an address that begins with https://.
error-method-title = That does not work here
error-method-text = This page cannot be used in that way. Please go back and try again.

## The demo's inbox

inbox-title = Demo inbox
inbox-text = In the demo no mail leaves this machine. The letters that would have been sent are here, newest first.
inbox-empty = No letters yet.
inbox-to = To
inbox-code = Code
inbox-open = Open the link
inbox-whole = The whole letter
inbox-look = Look again

## The letter

letter-subject = Sign in to { $site }
letter-asked = Somebody, we hope you, asked to sign in to { $site } ({ $host }) as { $email }.
letter-invited = You have been given a link to sign in to { $site } ({ $host }) as { $email }.
letter-open = Open this link to sign in:
letter-code = Or enter this code where you asked:
letter-valid = Works for: { $span }.
letter-valid-forever = This link has no end date.
letter-forward = Never forward this mail, and never tell anybody the code: they are only for you.
letter-ignore = You did not ask for it? Then ignore it; nobody gets in without this mail.
letter-copy = If the button does not work, copy this address into your browser:
