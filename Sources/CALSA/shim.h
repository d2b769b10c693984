#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h> // ioplug: the tests make a PCM of their own with it

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>

// libasound prints its errors to standard error unless a handler (variadic, so out of Swift's reach) takes them.
// This one keeps the first message since earshot_alsa_clear_message(), per thread: it names the cause, where the
// returned code often says only "No such file or directory".
static _Thread_local char earshot_alsa_message_text[256];

static inline void earshot_alsa_clear_message(void) {
    earshot_alsa_message_text[0] = 0;
}

static inline const char *earshot_alsa_message(void) {
    return earshot_alsa_message_text;
}

static void earshot_alsa_keep_message(
    const char *file, int line, const char *function, int code, const char *format, ...) {
    (void)file, (void)line, (void)function, (void)code;
    if (earshot_alsa_message_text[0]) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(earshot_alsa_message_text, sizeof earshot_alsa_message_text, format, arguments);
    va_end(arguments);
}

static inline void earshot_alsa_silence_errors(void) {
    snd_lib_error_set_handler(earshot_alsa_keep_message);
}

// Calls of Linux that capture needs and Swift's Glibc module lacks.

int pthread_setname_np(pthread_t thread, const char *name);

static inline int earshot_eventfd(void) {
    return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}
