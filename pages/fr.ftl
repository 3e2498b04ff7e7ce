# Français

direction = ltr
language-name = Français

## Partout

email = Adresse e-mail
continue = Continuer
sign-in = Se connecter
sign-in-again = Se reconnecter
sign-out = Se déconnecter
sign-out-everywhere = Se déconnecter de tous les appareils
signed-in-as = Connecté avec l’adresse
to-start = Aller à la page d’accueil
try-again = Réessayer
contact = Des questions ?
reference = Référence :

## Durées et dates

span-seconds = { $count ->
    [one] { $count } seconde
   *[other] { $count } secondes
}
span-minutes = { $count ->
    [one] { $count } minute
   *[other] { $count } minutes
}
span-hours = { $count ->
    [one] { $count } heure
   *[other] { $count } heures
}
span-days = { $count ->
    [one] { $count } jour
   *[other] { $count } jours
}
span-years = { $count ->
    [one] { $count } an
   *[other] { $count } ans
}
date = { $day } { $month ->
    [1] janv.
    [2] févr.
    [3] mars
    [4] avril
    [5] mai
    [6] juin
    [7] juil.
    [8] août
    [9] sept.
    [10] oct.
    [11] nov.
   *[12] déc.
} { $year }, { $time } UTC

## Connexion

login-title = Connexion
login-text = Saisissez votre adresse e-mail. Nous vous envoyons un lien ; ouvrez-le et vous êtes connecté. Aucun mot de passe n’est nécessaire.
login-send = Envoyer le lien
login-remember = Rester connecté sur cet appareil
login-invited = Seules les personnes invitées peuvent se connecter ici. Ouvrez le lien que vous avez reçu.
login-invited-ask = Pas de lien, ou il ne fonctionne plus ? Adressez-vous à
login-invited-ask-them = Pas de lien, ou il ne fonctionne plus ? Adressez-vous aux responsables de ce site.
login-bad-address = Cela ne ressemble pas à une adresse e-mail. Vérifiez-la : il faut un nom, un @ et un domaine, par exemple alice@example.com.
login-try-later = Il y a eu trop de demandes. Attendez quelques minutes, puis réessayez. Si vous avez déjà reçu un message de notre part, son lien reste valable.
login-note-signed-out = Vous êtes déconnecté.
login-note-session-ended = Votre session est terminée. Veuillez vous reconnecter.
login-note-lost-post = Votre envoi n’a pas été enregistré, car vous n’étiez pas connecté. Connectez-vous, puis envoyez-le de nouveau.

waiting-title = Consultez votre messagerie
waiting-text = Si cette adresse est autorisée ici, un message contenant un lien est en route vers :
waiting-state = Nous attendons que vous ouvriez le lien. Cette page continuera alors toute seule.
waiting-signed-in = Vous êtes connecté. Un instant…
waiting-elsewhere = Le lien a été utilisé dans un autre navigateur. Continuez là-bas ou demandez ici un nouveau lien.
waiting-expired = Le lien a expiré. Demandez-en un nouveau ci-dessous.
waiting-sent-again = Nous avons envoyé un autre message. Le lien précédent reste valable aussi.
waiting-code = Ou saisissez le code du message
waiting-wrong-code = Ce code n’est pas le bon. Comparez-le avec le message le plus récent.
waiting-codes-off = Après trop de codes erronés, les codes sont désactivés pour le moment. Utilisez le lien du message : il reste valable.
waiting-code-expired = Ce code a expiré. Demandez un nouveau message ci-dessous.
waiting-find = Toujours pas de message ?
waiting-spam = Cela peut prendre une minute ou deux. Regardez aussi dans les indésirables. Voici le message à chercher :
waiting-from = De
waiting-subject = Objet
waiting-valid = Valable pendant
waiting-again = Envoyer de nouveau
waiting-other = Autre adresse
waiting-continue = Je me suis connecté : continuer

verify-title = Est-ce bien vous ?
verify-sent-to = Ce lien de connexion a été envoyé à :
verify-text = Saisissez cette adresse en entier pour vous connecter ici.
verify-wrong-address = Le lien n’a pas été envoyé à cette adresse. Vérifiez l’orthographe.
verify-too-many = Trop d’adresses erronées. Ce lien ne fonctionne plus ici ; demandez-en un nouveau.
verify-elsewhere = Pour votre sécurité, ce lien ne fonctionne que dans le navigateur où vous l’avez demandé.
verify-code-hint = Ou retournez là où vous avez demandé le lien et saisissez-y le code du message.

confirm-title = Se connecter maintenant ?
confirm-text = Encore un clic et vous êtes connecté. Ce lien a été envoyé à :

other-title = Vous êtes déjà connecté
other-current = Connecté avec l’adresse
other-link = Ce lien est pour
other-stay = Continuer avec { $email }
other-switch = Se connecter plutôt avec { $email }
other-address = L’adresse complète à laquelle ce lien a été envoyé

link-title = Ce lien ne fonctionne pas
link-expired = Il a expiré. Pour votre sécurité, les liens ne sont valables que peu de temps.
link-used = Il a déjà été utilisé. Pour votre sécurité, il ne fonctionne pas une seconde fois.
link-revoked = Il a été retiré. Demandez-en un nouveau si vous en avez encore besoin.
link-invalid = Il est abîmé ou incomplet. Les messageries coupent parfois les liens longs : copiez-le en entier depuis le message.
link-foreign = Il provient d’un ancien système qui n’est plus utilisé ici. Demandez un nouveau lien.
link-unknown = Nous ne le connaissons pas (ou plus). Demandez un nouveau lien.
link-again = Recevoir un nouveau lien
link-current = Vous êtes déjà connecté avec l’adresse { $email }.

## Accès refusé, déconnexion

denied-title = Vous n’avez pas accès ici
denied-text = Vous êtes connecté avec l’adresse { $email }, mais elle ne permet pas d’ouvrir { $host }.
denied-ask = Si vous avez besoin d’un accès, adressez-vous à
denied-ask-them = Si vous avez besoin d’un accès, adressez-vous aux responsables de ce site.
denied-other = Se connecter avec une autre adresse

logout-title = Se déconnecter ?
logout-text = Vous êtes connecté avec l’adresse :

signed-out-title = Vous êtes déconnecté
signed-out-here = Personne ne peut continuer dans ce navigateur sans se reconnecter.
signed-out-everywhere = Vous êtes déconnecté de tous vos appareils.

## Page d’accueil

start-title = Bienvenue
start-hello = Bonjour { $name }
start-apps = Vos applications
start-no-apps = Il n’y a encore rien pour vous ici.
start-sessions = Où vous êtes connecté
start-this = cet appareil
start-since = Connexion : { $date }
start-seen = Dernière activité : { $date }
start-end = Déconnecter
start-end-device = Déconnecter { $device }
start-tokens = Vos jetons d’accès

## En cas de problème

lost-title = Connectez-vous d’abord
lost-text = Vous avez envoyé un formulaire, mais vous n’étiez pas (ou plus) connecté. Rien n’a été enregistré.
lost-back = Connectez-vous, puis revenez en arrière dans ce navigateur : votre saisie y est souvent encore. Par prudence, copiez-la d’abord.

error-ask = Adressez-vous à
error-ask-them = Adressez-vous aux responsables de ce site.
error-detail = Pour l’administration
error-status = Erreur { $status }
error-bad-request-title = La demande n’a pas été comprise
error-bad-request-text = L’adresse ou le formulaire a été abîmé en route. Revenez en arrière et réessayez.
error-not-found-title = Il n’y a rien ici
error-not-found-text = Aucune page à cette adresse. Le lien a peut-être été coupé, ou la page a été déplacée.
error-unknown-host-title = Cette adresse n’est pas configurée
error-unknown-host-text = Le nom dans la barre d’adresse mène ici, mais aucun site n’est configuré pour lui.
error-too-large-title = C’est trop volumineux
error-too-large-text = Votre envoi dépasse la taille permise ici. Essayez avec un fichier plus petit.
error-too-many-title = Trop de demandes
error-too-many-text = Attendez quelques minutes, puis réessayez.
error-timeout-title = Cela a pris trop de temps
error-timeout-text = Votre demande n’est pas arrivée à temps. Vérifiez votre connexion et réessayez.
error-upstream-down-title = Le site ne fonctionne pas pour le moment
error-upstream-down-text = La connexion fonctionne, mais le site qui se trouve derrière ne répond pas. Réessayez dans une minute.
error-upstream-slow-title = Le site met trop de temps
error-upstream-slow-text = Il n’a pas répondu à temps. Réessayez dans une minute.
error-unavailable-title = Indisponible pour le moment
error-unavailable-text = Le service est surchargé ou redémarre. Réessayez dans une minute.
error-store-away-title = La connexion ne fonctionne pas pour le moment
error-store-away-text = L’endroit où sont conservées les connexions est injoignable. Si vous êtes connecté, vous pouvez continuer ; sinon, réessayez dans quelques minutes.
error-internal-title = Un problème est survenu
error-internal-text = C’est notre faute, pas la vôtre. Réessayez. Si cela se répète, signalez-le aux responsables de ce site.
error-loop-title = Cela tourne en rond
error-loop-text = La connexion a renvoyé votre navigateur ici encore et encore. Autorisez les cookies pour ce site, puis réessayez.
error-insecure-title = La connexion n’est pas sécurisée
error-insecure-text = Vous ne pouvez vous connecter qu’à une adresse qui commence par https://.
error-method-title = Cela ne fonctionne pas ainsi
error-method-text = Cette page ne s’utilise pas de cette façon. Revenez en arrière et réessayez.

## La boîte de la démonstration

inbox-title = Boîte de la démo
inbox-text = Dans la démo, aucun message ne quitte cette machine. Les lettres qui auraient été envoyées sont ici, la plus récente en premier.
inbox-empty = Pas encore de lettres.
inbox-to = À
inbox-code = Code
inbox-open = Ouvrir le lien
inbox-whole = La lettre entière
inbox-look = Regarder de nouveau

## La lettre

letter-subject = Connexion à { $site }
letter-asked = Quelqu’un, vous sans doute, a demandé à se connecter à { $site } ({ $host }) avec l’adresse { $email }.
letter-invited = Vous avez reçu un lien pour vous connecter à { $site } ({ $host }) avec l’adresse { $email }.
letter-open = Ouvrez ce lien pour vous connecter :
letter-code = Ou saisissez ce code là où vous avez fait la demande :
letter-valid = Valable pendant : { $span }.
letter-valid-forever = Ce lien n’a pas de date de fin.
letter-forward = Ne transférez jamais ce message et ne donnez le code à personne : ils ne sont que pour vous.
letter-ignore = Vous n’avez rien demandé ? Alors ne faites rien ; personne n’entre sans ce message.
letter-copy = Si le bouton ne fonctionne pas, copiez cette adresse dans votre navigateur :
