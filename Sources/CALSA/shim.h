#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h> // ioplug: the tests make a PCM of their own with it

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>

// libasound prints its errors to standard error unless a handler (variadic, so out of Swift's reach) takes them.
// This one keeps the first message since the buffer was last emptied, per thread: it names the cause, where the
// returned code often says only "No such file or directory". Each object file that uses these functions has a buffer
// of its own, so only one (AlsaMessages.swift) does.

#define EARSHOT_ALSA_MESSAGE_SIZE 256

static inline char *earshot_alsa_message_buffer(void) {
    static _Thread_local char text[EARSHOT_ALSA_MESSAGE_SIZE];
    return text;
}

static inline void earshot_alsa_keep_message(
    const char *file, int line, const char *function, int code, const char *format, ...) {
    (void)file, (void)line, (void)function, (void)code;
    char *text = earshot_alsa_message_buffer();
    if (text[0]) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, EARSHOT_ALSA_MESSAGE_SIZE, format, arguments);
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
