# Deutsch

direction = ltr
language-name = Deutsch

## Überall

email = E-Mail-Adresse
continue = Weiter
sign-in = Anmelden
sign-in-again = Wieder anmelden
sign-out = Abmelden
sign-out-everywhere = Auf allen Geräten abmelden
signed-in-as = Angemeldet als
to-start = Zur Startseite
try-again = Noch einmal versuchen
contact = Fragen?
reference = Kennung:

## Zeitspannen und Zeitpunkte

span-seconds = { $count ->
    [one] { $count } Sekunde
   *[other] { $count } Sekunden
}
span-minutes = { $count ->
    [one] { $count } Minute
   *[other] { $count } Minuten
}
span-hours = { $count ->
    [one] { $count } Stunde
   *[other] { $count } Stunden
}
span-days = { $count ->
    [one] { $count } Tag
   *[other] { $count } Tage
}
span-years = { $count ->
    [one] { $count } Jahr
   *[other] { $count } Jahre
}
date = { $day }. { $month ->
    [1] Januar
    [2] Februar
    [3] März
    [4] April
    [5] Mai
    [6] Juni
    [7] Juli
    [8] August
    [9] September
    [10] Oktober
    [11] November
   *[12] Dezember
} { $year }, { $time } Uhr UTC

## Anmelden

login-title = Anmelden
login-text = Geben Sie Ihre E-Mail-Adresse ein. Wir senden Ihnen einen Link; öffnen Sie ihn, und Sie sind angemeldet. Ein Passwort brauchen Sie nicht.
login-send = Link senden
login-remember = Auf diesem Gerät angemeldet bleiben
login-invited = Hier können sich nur eingeladene Personen anmelden. Bitte öffnen Sie den Link, den Sie bekommen haben.
login-invited-ask = Kein Link, oder er funktioniert nicht mehr? Fragen Sie
login-invited-ask-them = Kein Link, oder er funktioniert nicht mehr? Fragen Sie die Betreiber dieser Seite.
login-bad-address = Das sieht nicht wie eine E-Mail-Adresse aus. Bitte prüfen Sie: Sie braucht einen Namen, ein @ und eine Domain, zum Beispiel alice@example.com.
login-try-later = Das waren zu viele Anfragen. Bitte warten Sie ein paar Minuten und versuchen Sie es dann noch einmal. Wenn Sie schon eine Mail von uns haben: Ihr Link gilt weiterhin.
login-note-signed-out = Sie sind abgemeldet.
login-note-session-ended = Ihre Sitzung ist beendet. Bitte melden Sie sich wieder an.
login-note-lost-post = Was Sie abgeschickt haben, wurde nicht gespeichert, weil Sie nicht angemeldet waren. Melden Sie sich an und schicken Sie es dann noch einmal ab.

waiting-title = Sehen Sie in Ihr Postfach
waiting-text = Wenn diese Adresse sich hier anmelden darf, ist eine Mail mit einem Link unterwegs an:
waiting-state = Wir warten, bis Sie den Link öffnen. Dann geht es hier von selbst weiter.
waiting-signed-in = Sie sind angemeldet. Einen Moment …
waiting-elsewhere = Der Link wurde in einem anderen Browser benutzt. Machen Sie dort weiter, oder fordern Sie hier einen neuen Link an.
waiting-expired = Der Link ist abgelaufen. Fordern Sie unten einen neuen an.
waiting-sent-again = Wir haben noch eine Mail gesendet. Der frühere Link gilt ebenfalls weiter.
waiting-code = Oder geben Sie den Code aus der Mail ein
waiting-wrong-code = Dieser Code stimmt nicht. Bitte vergleichen Sie ihn mit der neuesten Mail.
waiting-codes-off = Nach zu vielen falschen Codes sind Codes vorerst abgeschaltet. Bitte benutzen Sie den Link in der Mail: Er gilt weiterhin.
waiting-code-expired = Dieser Code ist abgelaufen. Fordern Sie unten eine neue Mail an.
waiting-find = Noch keine Mail?
waiting-spam = Es kann ein, zwei Minuten dauern. Sehen Sie auch im Spam-Ordner nach. Gesucht ist diese Mail:
waiting-from = Von
waiting-subject = Betreff
waiting-valid = Gültig
waiting-again = Noch einmal senden
waiting-other = Andere Adresse
waiting-continue = Ich habe mich angemeldet: weiter

verify-title = Sind Sie das?
verify-sent-to = Dieser Anmelde-Link ging an:
verify-text = Geben Sie die vollständige Adresse ein, um sich hier anzumelden.
verify-wrong-address = An diese Adresse ging der Link nicht. Bitte prüfen Sie die Schreibweise.
verify-too-many = Zu viele falsche Adressen. Dieser Link funktioniert hier nicht mehr; bitte fordern Sie einen neuen an.
verify-elsewhere = Zu Ihrer Sicherheit funktioniert dieser Link nur in dem Browser, in dem Sie ihn angefordert haben.
verify-code-hint = Oder gehen Sie dorthin zurück, wo Sie den Link angefordert haben, und geben Sie dort den Code aus der Mail ein.

confirm-title = Jetzt anmelden?
confirm-text = Noch ein Klick, und Sie sind angemeldet. Dieser Link ging an:

other-title = Sie sind schon angemeldet
other-current = Angemeldet als
other-link = Dieser Link ist für
other-stay = Als { $email } fortfahren
other-switch = Stattdessen als { $email } anmelden
other-address = Die vollständige Adresse, an die der Link ging

link-title = Dieser Link funktioniert nicht
link-expired = Er ist abgelaufen. Zu Ihrer Sicherheit gelten Links nur kurze Zeit.
link-used = Er wurde schon benutzt. Zu Ihrer Sicherheit funktioniert er kein zweites Mal.
link-revoked = Er wurde zurückgezogen. Fordern Sie einen neuen an, wenn Sie ihn noch brauchen.
link-invalid = Er ist beschädigt oder unvollständig. Mailprogramme schneiden lange Links manchmal ab: Kopieren Sie ihn bitte ganz aus der Mail.
link-foreign = Er stammt aus einem älteren System, das hier nicht mehr benutzt wird. Bitte fordern Sie einen neuen Link an.
link-unknown = Wir kennen ihn nicht (mehr). Bitte fordern Sie einen neuen Link an.
link-again = Neuen Link senden
link-current = Sie sind schon angemeldet als { $email }.

## Kein Zugang, Abmelden

denied-title = Hier haben Sie keinen Zugang
denied-text = Sie sind als { $email } angemeldet, aber diese Adresse darf { $host } nicht öffnen.
denied-ask = Wenn Sie Zugang brauchen, fragen Sie
denied-ask-them = Wenn Sie Zugang brauchen, fragen Sie die Betreiber dieser Seite.
denied-other = Als jemand anderes anmelden

logout-title = Abmelden?
logout-text = Sie sind angemeldet als:

signed-out-title = Sie sind abgemeldet
signed-out-here = In diesem Browser kommt niemand weiter, ohne sich wieder anzumelden.
signed-out-everywhere = Sie sind auf allen Ihren Geräten abgemeldet.

## Startseite

start-title = Willkommen
start-hello = Guten Tag, { $name }
start-apps = Ihre Anwendungen
start-no-apps = Hier gibt es noch nichts für Sie.
start-sessions = Wo Sie angemeldet sind
start-this = dieses Gerät
start-since = Angemeldet: { $date }
start-seen = Zuletzt gesehen: { $date }
start-end = Abmelden
start-end-device = Auf { $device } abmelden
start-tokens = Ihre Zugangsschlüssel

## Wenn etwas schiefging

lost-title = Bitte melden Sie sich zuerst an
lost-text = Sie haben ein Formular abgeschickt, waren aber nicht (mehr) angemeldet. Es wurde nichts gespeichert.
lost-back = Melden Sie sich an und gehen Sie dann in diesem Browser zurück: Was Sie getippt haben, ist oft noch da. Kopieren Sie es vorher, um sicherzugehen.

error-ask = Bitte fragen Sie
error-ask-them = Bitte fragen Sie die Betreiber dieser Seite.
error-detail = Für die Verwaltung
error-status = Fehler { $status }
error-bad-request-title = Die Anfrage war nicht zu verstehen
error-bad-request-text = Die Adresse oder das Formular wurde unterwegs beschädigt. Bitte gehen Sie zurück und versuchen Sie es noch einmal.
error-not-found-title = Hier ist nichts
error-not-found-text = Unter dieser Adresse gibt es keine Seite. Vielleicht wurde der Link abgeschnitten, oder die Seite ist umgezogen.
error-unknown-host-title = Diese Adresse ist nicht eingerichtet
error-unknown-host-text = Der Name in der Adresszeile führt hierher, aber es ist keine Seite dafür eingerichtet.
error-too-large-title = Das ist zu groß
error-too-large-text = Was Sie gesendet haben, ist größer als hier erlaubt. Bitte versuchen Sie es mit einer kleineren Datei.
error-too-many-title = Zu viele Anfragen
error-too-many-text = Bitte warten Sie ein paar Minuten und versuchen Sie es dann noch einmal.
error-timeout-title = Das hat zu lange gedauert
error-timeout-text = Ihre Anfrage kam nicht rechtzeitig an. Bitte prüfen Sie Ihre Verbindung und versuchen Sie es noch einmal.
error-upstream-down-title = Die Seite läuft gerade nicht
error-upstream-down-text = Die Anmeldung funktioniert, aber die Seite dahinter antwortet nicht. Bitte versuchen Sie es in einer Minute noch einmal.
error-upstream-slow-title = Die Seite braucht zu lange
error-upstream-slow-text = Sie hat nicht rechtzeitig geantwortet. Bitte versuchen Sie es in einer Minute noch einmal.
error-unavailable-title = Gerade nicht erreichbar
error-unavailable-text = Wir sind überlastet oder starten gerade neu. Bitte versuchen Sie es in einer Minute noch einmal.
error-store-away-title = Anmelden geht gerade nicht
error-store-away-text = Der Speicher für Anmeldungen ist nicht erreichbar. Wenn Sie angemeldet sind, können Sie weiterarbeiten; sonst versuchen Sie es bitte in ein paar Minuten noch einmal.
error-internal-title = Etwas ist schiefgegangen
error-internal-text = Es liegt an uns, nicht an Ihnen. Bitte versuchen Sie es noch einmal. Wenn es wieder geschieht, sagen Sie es den Betreibern dieser Seite.
error-loop-title = Hier geht es im Kreis
error-loop-text = Die Anmeldung hat Ihren Browser immer wieder hierher geschickt. Bitte erlauben Sie Cookies für diese Seite und versuchen Sie es dann noch einmal.
error-insecure-title = Die Verbindung ist nicht sicher
error-insecure-text = Anmelden können Sie sich nur unter einer Adresse, die mit https:// beginnt.
error-method-title = So geht das hier nicht
error-method-text = Diese Seite lässt sich so nicht benutzen. Bitte gehen Sie zurück und versuchen Sie es noch einmal.

## Das Postfach der Vorführung

inbox-title = Postfach der Demo
inbox-text = In der Demo verlässt keine Mail diesen Rechner. Hier liegen die Briefe, die sonst verschickt würden, der neueste zuerst.
inbox-empty = Noch keine Briefe.
inbox-to = An
inbox-code = Code
inbox-open = Link öffnen
inbox-whole = Der ganze Brief
inbox-look = Noch einmal nachsehen

## Der Brief

letter-subject = Anmelden bei { $site }
letter-asked = Jemand, hoffentlich Sie, möchte sich bei { $site } ({ $host }) als { $email } anmelden.
letter-invited = Sie haben einen Link bekommen, um sich bei { $site } ({ $host }) als { $email } anzumelden.
letter-open = Öffnen Sie diesen Link, um sich anzumelden:
letter-code = Oder geben Sie dort, wo Sie gefragt haben, diesen Code ein:
letter-valid = Gültig: { $span }.
letter-valid-forever = Dieser Link hat kein Ablaufdatum.
letter-forward = Leiten Sie diese Mail nie weiter und sagen Sie niemandem den Code: Beides ist nur für Sie.
letter-ignore = Sie haben nicht darum gebeten? Dann tun Sie einfach nichts; ohne diese Mail kommt niemand hinein.
letter-copy = Wenn die Schaltfläche nicht funktioniert, kopieren Sie diese Adresse in Ihren Browser:
