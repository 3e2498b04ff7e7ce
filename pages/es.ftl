# Español

direction = ltr
language-name = Español

## En todas partes

email = Correo electrónico
continue = Continuar
sign-in = Entrar
sign-in-again = Entrar de nuevo
sign-out = Cerrar sesión
sign-out-everywhere = Cerrar sesión en todos los dispositivos
signed-in-as = Sesión abierta como
to-start = Ir a la página de inicio
try-again = Intentar de nuevo
contact = ¿Preguntas?
reference = Referencia:

## Duraciones y fechas

span-seconds = { $count ->
    [one] { $count } segundo
   *[other] { $count } segundos
}
span-minutes = { $count ->
    [one] { $count } minuto
   *[other] { $count } minutos
}
span-hours = { $count ->
    [one] { $count } hora
   *[other] { $count } horas
}
span-days = { $count ->
    [one] { $count } día
   *[other] { $count } días
}
span-years = { $count ->
    [one] { $count } año
   *[other] { $count } años
}
date = { $day } { $month ->
    [1] ene
    [2] feb
    [3] mar
    [4] abr
    [5] may
    [6] jun
    [7] jul
    [8] ago
    [9] sept
    [10] oct
    [11] nov
   *[12] dic
} { $year }, { $time } UTC

## Entrar

login-title = Entrar
login-text = Escriba su dirección de correo. Le enviaremos un enlace; ábralo y ya está dentro. No hace falta contraseña.
login-send = Enviar el enlace
login-remember = Mantener la sesión iniciada en este dispositivo
login-invited = Aquí solo pueden entrar las personas invitadas. Abra el enlace que ha recibido.
login-invited-ask = ¿No tiene enlace o ya no funciona? Pregunte a
login-invited-ask-them = ¿No tiene enlace o ya no funciona? Pregunte a los responsables de este sitio.
login-bad-address = Esto no parece una dirección de correo. Revísela: necesita un nombre, una @ y un dominio, por ejemplo alice@example.com.
login-try-later = Ha habido demasiadas solicitudes. Espere unos minutos e inténtelo de nuevo. Si ya tiene un mensaje nuestro, su enlace sigue funcionando.
login-note-signed-out = La sesión se ha cerrado.
login-note-session-ended = Su sesión ha terminado. Entre de nuevo, por favor.
login-note-lost-post = Lo que envió no se ha guardado, porque no había una sesión abierta. Entre y envíelo de nuevo.

waiting-title = Revise su correo
waiting-text = Si esta dirección puede entrar aquí, un mensaje con un enlace va de camino a:
waiting-state = Esperamos a que abra el enlace. Entonces esta página seguirá por sí sola.
waiting-signed-in = Ya está dentro. Un momento…
waiting-elsewhere = El enlace se usó en otro navegador. Puede seguir allí o pedir aquí un enlace nuevo.
waiting-expired = El enlace ha caducado. Pida uno nuevo más abajo.
waiting-sent-again = Hemos enviado otro mensaje. El enlace anterior también sigue funcionando.
waiting-code = O escriba el código del mensaje
waiting-wrong-code = Este código no es correcto. Compárelo con el mensaje más reciente.
waiting-codes-off = Tras demasiados códigos incorrectos, los códigos están desactivados por ahora. Use el enlace del mensaje: sigue funcionando.
waiting-code-expired = Este código ha caducado. Pida un mensaje nuevo más abajo.
waiting-find = ¿Aún no llega el mensaje?
waiting-spam = Puede tardar uno o dos minutos. Mire también en el correo no deseado. Este es el mensaje que debe buscar:
waiting-from = De
waiting-subject = Asunto
waiting-valid = Válido durante
waiting-again = Enviar de nuevo
waiting-other = Usar otra dirección
waiting-continue = Ya he entrado: continuar

verify-title = ¿Es usted?
verify-sent-to = Este enlace de acceso se envió a:
verify-text = Escriba esa dirección completa para entrar aquí.
verify-wrong-address = El enlace no se envió a esta dirección. Revise cómo está escrita.
verify-too-many = Demasiadas direcciones incorrectas. Este enlace ya no funciona aquí; pida uno nuevo.
verify-elsewhere = Por su seguridad, este enlace solo funciona en el navegador en el que lo solicitó.
verify-code-hint = O vuelva al lugar donde pidió el enlace y escriba allí el código del mensaje.

confirm-title = ¿Entrar ahora?
confirm-text = Un clic más y ya está dentro. Este enlace se envió a:

other-title = Ya hay una sesión abierta
other-current = Sesión abierta como
other-link = Este enlace es para
other-stay = Seguir como { $email }
other-switch = Entrar como { $email }
other-address = La dirección completa a la que se envió este enlace

link-title = Este enlace no funciona
link-expired = Ha caducado. Por su seguridad, los enlaces duran poco tiempo.
link-used = Ya se ha usado. Por su seguridad, no funciona una segunda vez.
link-revoked = Se ha retirado. Pida uno nuevo si todavía lo necesita.
link-invalid = Está dañado o incompleto. Los programas de correo a veces cortan los enlaces largos: cópielo entero del mensaje.
link-foreign = Procede de un sistema anterior que aquí ya no se usa. Pida un enlace nuevo.
link-unknown = No lo conocemos, o ya no. Pida un enlace nuevo.
link-again = Recibir un enlace nuevo
link-current = Ya hay una sesión abierta como { $email }.

## Sin acceso, cerrar sesión

denied-title = No tiene acceso aquí
denied-text = La sesión está abierta como { $email }, pero esta dirección no puede abrir { $host }.
denied-ask = Si necesita acceso, pregunte a
denied-ask-them = Si necesita acceso, pregunte a los responsables de este sitio.
denied-other = Entrar con otra dirección

logout-title = ¿Cerrar la sesión?
logout-text = La sesión está abierta como:

signed-out-title = La sesión se ha cerrado
signed-out-here = Nadie puede seguir en este navegador sin entrar de nuevo.
signed-out-everywhere = La sesión se ha cerrado en todos sus dispositivos.

## Página de inicio

start-title = Le damos la bienvenida
start-hello = Hola, { $name }
start-apps = Sus aplicaciones
start-no-apps = Aquí todavía no hay nada para usted.
start-sessions = Dónde tiene la sesión abierta
start-this = este dispositivo
start-since = Desde: { $date }
start-seen = Última actividad: { $date }
start-end = Cerrar sesión
start-end-device = Cerrar la sesión de { $device }
start-tokens = Sus claves de acceso

## Cuando algo sale mal

lost-title = Entre primero, por favor
lost-text = Envió un formulario, pero no había (o ya no había) una sesión abierta. No se ha guardado nada.
lost-back = Entre y después vuelva atrás en este navegador: lo que escribió suele seguir ahí. Por seguridad, cópielo antes.

error-ask = Pregunte a
error-ask-them = Pregunte a los responsables de este sitio.
error-detail = Para la administración
error-status = Error { $status }
error-bad-request-title = No se entendió la solicitud
error-bad-request-text = La dirección o el formulario se dañó en el camino. Vuelva atrás e inténtelo de nuevo.
error-not-found-title = Aquí no hay nada
error-not-found-text = No hay ninguna página en esta dirección. Quizá el enlace está cortado o la página ha cambiado de lugar.
error-unknown-host-title = Esta dirección no está configurada
error-unknown-host-text = El nombre de la barra de direcciones lleva hasta aquí, pero ningún sitio está configurado para él.
error-too-large-title = Es demasiado grande
error-too-large-text = Lo que envió supera el tamaño permitido aquí. Pruebe con un archivo más pequeño.
error-too-many-title = Demasiadas solicitudes
error-too-many-text = Espere unos minutos e inténtelo de nuevo.
error-timeout-title = Ha tardado demasiado
error-timeout-text = Su solicitud no llegó a tiempo. Revise su conexión e inténtelo de nuevo.
error-upstream-down-title = El sitio no funciona en este momento
error-upstream-down-text = El acceso funciona, pero el sitio que hay detrás no responde. Inténtelo de nuevo en un minuto.
error-upstream-slow-title = El sitio tarda demasiado
error-upstream-slow-text = No ha respondido a tiempo. Inténtelo de nuevo en un minuto.
error-unavailable-title = No disponible en este momento
error-unavailable-text = El servicio está sobrecargado o se está reiniciando. Inténtelo de nuevo en un minuto.
error-store-away-title = Ahora mismo no se puede entrar
error-store-away-text = No se puede llegar al lugar donde se guardan los accesos. Si ya tiene la sesión abierta, puede seguir; si no, inténtelo de nuevo en unos minutos.
error-internal-title = Algo ha salido mal
error-internal-text = Es culpa nuestra, no suya. Inténtelo de nuevo. Si se repite, avise a los responsables de este sitio.
error-loop-title = Esto da vueltas en círculo
error-loop-text = El acceso ha devuelto su navegador aquí una y otra vez. Permita las cookies de este sitio e inténtelo de nuevo.
error-insecure-title = La conexión no es segura
error-insecure-text = Solo se puede entrar en una dirección que empiece por https://.
error-method-title = Así no funciona
error-method-text = Esta página no se puede usar de esa manera. Vuelva atrás e inténtelo de nuevo.

## El buzón de la demostración

inbox-title = Buzón de la demo
inbox-text = En la demo ningún mensaje sale de esta máquina. Aquí están las cartas que se habrían enviado, la más reciente primero.
inbox-empty = Todavía no hay cartas.
inbox-to = Para
inbox-code = Código
inbox-open = Abrir el enlace
inbox-whole = La carta entera
inbox-look = Mirar de nuevo

## La carta

letter-subject = Entrar en { $site }
letter-asked = Alguien, esperamos que usted, ha pedido entrar en { $site } ({ $host }) como { $email }.
letter-invited = Ha recibido un enlace para entrar en { $site } ({ $host }) como { $email }.
letter-open = Abra este enlace para entrar:
letter-code = O escriba este código donde hizo la petición:
letter-valid = Válido durante: { $span }.
letter-valid-forever = Este enlace no tiene fecha de caducidad.
letter-forward = No reenvíe nunca este mensaje ni le diga el código a nadie: son solo para usted.
letter-ignore = ¿No lo ha pedido usted? Entonces no haga nada; nadie entra sin este mensaje.
letter-copy = Si el botón no funciona, copie esta dirección en su navegador:
