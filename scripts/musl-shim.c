// What Node for glibc and the C++ library import and musl does not have (test-musl.sh). None of it matters to the guard.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

char __libc_single_threaded = 0;
void *__libc_stack_end;
struct { unsigned values[8]; } __cpu_model;

unsigned arc4random(void) {
  unsigned number;
  getrandom(&number, sizeof number, 0);
  return number;
}

int fcntl64(int fd, int command, ...) {
  va_list list;
  va_start(list, command);
  void *argument = va_arg(list, void *);
  va_end(list);
  return fcntl(fd, command, argument);
}

// The C++ library finds the tables of character classes in a locale, at glibc's place for them.
const unsigned short **__ctype_b_loc(void);
const int **__ctype_tolower_loc(void);
const int **__ctype_toupper_loc(void);
locale_t __newlocale(int mask, const char *name, locale_t base) {
  static const void *locale[32];
  memcpy(locale, newlocale(LC_ALL_MASK, "C", 0), 6 * sizeof(void *));
  locale[13] = *__ctype_b_loc();
  locale[14] = *__ctype_tolower_loc();
  locale[15] = *__ctype_toupper_loc();
  return (locale_t)locale;
}

// libatomic of glibc chooses its functions in a way (IFUNC) that musl does not know. Node 26 uses one of them, for 8 bytes.
_Bool compare_exchange(size_t size, unsigned long *value, unsigned long *expected, unsigned long *desired)
    __asm__("__atomic_compare_exchange");
_Bool compare_exchange(size_t size, unsigned long *value, unsigned long *expected, unsigned long *desired) {
  if (size != sizeof *value) abort();
  unsigned long before = __sync_val_compare_and_swap(value, *expected, *desired);
  if (before == *expected) return 1;
  *expected = before;
  return 0;
}

size_t __strftime_l(char *text, size_t size, const char *format, const struct tm *time, locale_t locale) {
  return strftime_l(text, size, format, time, locale);
}

int __register_atfork(void (*before)(void), void (*parent)(void), void (*child)(void), void *library) {
  return pthread_atfork(before, parent, child);
}

const char *gnu_get_libc_version(void) { return "musl"; }
int __cxa_thread_atexit_impl(void (*destroy)(void *), void *object, void *library) { return 0; }
int __res_init(void) { return 0; }
int __cpu_indicator_init(void) { return 0; }
int _dl_find_object(void *address, void *result) { return -1; }
int backtrace(void **frames, int size) { return 0; }
char **backtrace_symbols(void *const *frames, int size) { return NULL; }
void backtrace_symbols_fd(void *const *frames, int size, int fd) {}
int getcontext(void *context) { return errno = ENOSYS, -1; }
int setcontext(const void *context) { return errno = ENOSYS, -1; }
void makecontext(void *context, void (*start)(void), int count, ...) {}
