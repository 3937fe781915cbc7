/* Every Rust program asks Windows' bcryptprimitives.dll for random bytes. Wine has that file since version 8.13; for an
   older Wine this stands in and asks the same generator by its other name. Only 'cargo xtask wine' builds it. */
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T length)
{
    return RtlGenRandom(bytes, (ULONG)length);
}
