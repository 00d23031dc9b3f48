// Functions too rare to be worth a vector form: thin calls of the C library, and digamma. They are
// compiled once, outside the code that is compiled per instruction set.
#pragma once

namespace linnet::library {

float sin(float x);
float cos(float x);
float tan(float x);
float asin(float x);
float acos(float x);
float atan(float x);
float cbrt(float x);
float lgamma(float x);
float digamma(float x);
float pow(float x, float y);
float atan2(float y, float x);
float fmod(float x, float y);
float nextafter(float x, float y);
float fma(float a, float b, float c);

double sin(double x);
double cos(double x);
double tan(double x);
double asin(double x);
double acos(double x);
double atan(double x);
double cbrt(double x);
double lgamma(double x);
double digamma(double x);
double pow(double x, double y);
double atan2(double y, double x);
double fmod(double x, double y);
double nextafter(double x, double y);
double fma(double a, double b, double c);

}  // namespace linnet::library
